import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/index.ts';
import { KernelError } from '../kernel/index.ts';
import type { HostPort } from '../kernel/index.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import { Services } from './services.ts';
import type { PortOwner, PortRequest } from './services.ts';

const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;

const OWNERS: Record<string, PortOwner> = {
  web: { containerId: 'w', containerName: 'web', addresses: ['10.210.0.2'] },
  api: { containerId: 'a', containerName: 'api', addresses: ['10.210.0.3', 'fd00::3'] },
  api6: { containerId: 'a', containerName: 'api', addresses: ['fd00::33'] },
};

function request(change: Partial<PortRequest> = {}): PortRequest {
  return { protocol: 'tcp', port: 80, hostAddress: '', hostPort: 8080, hostPortEnd: 8080, ...change };
}

function name({ address, port, protocol }: HostPort): string {
  return `${address}:${port}/${protocol}`;
}

/** Services over maps in memory, on a host where some ports are taken by others. */
function host(taken: string[] = []) {
  const maps = fakeMaps();
  const held = new Set<string>();
  /** Ports whose users were looked for. */
  const asked: number[] = [];
  const options = {
    map: maps.maps.service,
    ownerOf: (key: string) => OWNERS[key] ?? { containerId: '', containerName: '', addresses: [] },
    hold: (port: HostPort) => {
      if (port.address === '192.0.2.1') throw new KernelError('hold', EADDRNOTAVAIL);
      if (taken.includes(name(port)) || held.has(name(port))) throw new KernelError('hold', EADDRINUSE);
      held.add(name(port));
      return { [Symbol.dispose]: () => void held.delete(name(port)) };
    },
    userOf: ({ port }: HostPort) => {
      asked.push(port);
      return 'nginx (pid 812)';
    },
    range: () => ({ first: 40000, last: 40002 }),
    log: silentLog,
  };
  return { services: new Services(options), maps, held, asked, again: () => new Services(options) };
}

function frontends(maps: ReturnType<typeof fakeMaps>): string[] {
  return [...maps.maps.service.entries()].map(
    ([key, { address, port }]) => `${key.address}:${key.port}/${key.protocol} ${address}:${port}`,
  );
}

test('a port leads to the container, under all addresses of the families it has', () => {
  const { services, maps, held } = host();
  services.publish('web', [request()]);
  assert.deepEqual(frontends(maps), ['0.0.0.0:8080/6 10.210.0.2:80']);
  services.publish('api', [request({ protocol: 'udp', port: 53 })]);
  assert.deepEqual(frontends(maps).slice(1), ['0.0.0.0:8080/17 10.210.0.3:53', ':::8080/17 fd00::3:53']);
  assert.deepEqual([...held], ['0.0.0.0:8080/tcp', '0.0.0.0:8080/udp', ':::8080/udp']);
  assert.deepEqual(
    services.list().map(({ id }) => id),
    [1, 2, 3],
  );
});

test('what is taken back leaves neither entry nor held port, and its number is given again', () => {
  const { services, maps, held } = host();
  services.publish('web', [request()]);
  services.unpublish('web');
  services.unpublish('web');
  assert.deepEqual([frontends(maps), [...held], services.list()], [[], [], []]);
  assert.equal(services.publish('api', [request({ hostAddress: '127.0.0.1' })])[0]?.id, 1);
});

test('a port of a process is refused by its name, and nothing is left half published', () => {
  const { services, maps, held } = host(['0.0.0.0:8081/tcp']);
  const two = [request(), request({ port: 81, hostPort: 8081, hostPortEnd: 8081 })];
  assert.throws(() => services.publish('web', two), {
    code: 'PORT_IN_USE',
    message: 'port 8081/tcp is in use by nginx (pid 812)',
  });
  assert.deepEqual([frontends(maps), [...held], services.list()], [[], [], []]);
});

test('a port of another container is refused by its name, under one address and under all', () => {
  const { services } = host();
  services.publish('web', [request()]);
  const message = /^port 8080\/tcp.* is published for container web already$/;
  assert.throws(() => services.publish('api', [request()]), { code: 'PORT_IN_USE', message });
  assert.throws(() => services.publish('api', [request({ hostAddress: '127.0.0.1' })]), { message });
  services.publish('api', [request({ hostAddress: '::1' }), request({ protocol: 'udp' })]);
});

test('the first free port of a range is taken; a full one is refused', () => {
  const { services } = host(['0.0.0.0:8080/tcp']);
  const range = request({ hostPortEnd: 8081 });
  assert.equal(services.publish('web', [range])[0]?.hostPort, 8081);
  assert.throws(() => services.publish('web', [range]), {
    code: 'PORT_IN_USE',
    message: 'no port of 8080-8081/tcp is free',
  });
});

test('any port is one number for both families, and each time another one', () => {
  const { services } = host([':::40000/tcp']);
  const any = request({ hostPort: 0, hostPortEnd: 0 });
  const ports = services.publish('api', [any, { ...any, port: 81 }]);
  assert.deepEqual(
    ports.map(({ hostAddress, hostPort, port }) => [hostAddress, hostPort, port]),
    [
      ['0.0.0.0', 40001, 80],
      ['::', 40001, 80],
      ['0.0.0.0', 40002, 81],
      ['::', 40002, 81],
    ],
  );
  assert.equal(services.publish('web', [any])[0]?.hostPort, 40000, 'free in the family that is asked for');
  assert.throws(() => services.publish('api', [any]), { code: 'PORTS_EXHAUSTED' });
});

test('who has a port is looked for only where somebody is told', () => {
  const { services, asked } = host([':::40000/tcp', '0.0.0.0:8080/tcp', '0.0.0.0:8081/tcp']);
  services.publish('api', [request({ hostPort: 0, hostPortEnd: 0 })]);
  services.publish('web', [request({ hostPortEnd: 8082 })]);
  assert.deepEqual(asked, []);
  assert.throws(() => services.publish('web', [request({ hostPortEnd: 8081 })]), {
    message: 'no port of 8080-8081/tcp is free',
  });
  assert.deepEqual(asked, [8081]);
});

test('an address that the host does not have, or of a family that the container does not have, is refused', () => {
  const { services, held } = host();
  assert.throws(() => services.publish('web', [request({ hostAddress: '192.0.2.1' })]), {
    code: 'HOST_ADDRESS_UNKNOWN',
    message: 'cannot publish port 8080/tcp of 192.0.2.1',
  });
  assert.throws(() => services.publish('web', [request({ hostAddress: '::1' })]), { code: 'PORT_FAMILY' });
  assert.equal(held.size, 0);
});

test('endpoints of one container do not contend: each family goes to the one that has it', () => {
  const { services, maps } = host();
  services.publish('api', [request()]);
  assert.deepEqual(services.publish('api6', [request()]), []);
  assert.equal(frontends(maps).length, 2);
  assert.throws(() => services.publish('api6', [request({ port: 81 })]), { code: 'PORT_IN_USE' });
});

test('after a restart ports are as they were, even one that somebody has taken meanwhile', () => {
  const { services, maps, held, again } = host();
  const ports = services.publish('web', [request(), request({ port: 81, hostPort: 0 })]);
  services.close();
  assert.equal(held.size, 0);
  held.add('0.0.0.0:8080/tcp'); // by somebody else
  const later = again();
  later.restore('web', ports);
  assert.deepEqual(later.list(), services.list());
  assert.equal(frontends(maps).length, 2);
});

test('what belongs to nobody is swept out', () => {
  const { services, maps } = host();
  services.publish('web', [request()]);
  maps.maps.service.set(
    { address: '0.0.0.0', port: 9, protocol: 6 },
    { address: '10.0.0.1', port: 9, flags: 0, id: 7 },
  );
  services.sweep();
  assert.deepEqual(frontends(maps), ['0.0.0.0:8080/6 10.210.0.2:80']);
});
