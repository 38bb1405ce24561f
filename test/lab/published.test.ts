/** `docker run -p`: who reaches the port, under which address, what closes it, and what it survives. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { IMAGE, importLabImage, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { Lan } from './lan.ts';
import { lab } from './lab-test.ts';
import type { LabNamespace } from './namespace.ts';
import { until } from './run.ts';

const HOST = '192.168.77.1';
const OUTSIDE = '192.168.77.2';
const LOCAL = '127.0.0.1';
const HOST6 = '2001:db8:77::1';
const OUTSIDE6 = '2001:db8:77::2';
const LOCAL6 = '::1';
/** Of the segment at the host's second device, which no default route leads to. */
const ASIDE = '192.168.78.1';
const BESIDE = '192.168.78.2';
const YARD6 = '2001:db8:99::/64';
const PORT = 8080;

/** Addresses of host and neighbour, and how those of containers begin. */
const FAMILIES = [
  { name: 'IPv4', host: HOST, local: LOCAL, outside: OUTSIDE, inside: '10.210.' },
  { name: 'IPv6', host: HOST6, local: LOCAL6, outside: OUTSIDE6, inside: 'fd' },
] as const;

let segment: Lan | undefined;
let side: Lan | undefined;
let outside: LabNamespace;
let beside: LabNamespace;
const published = lab(
  async () => {
    segment = await Lan.start('segment');
    outside = await segment.neighbour('outside', `${OUTSIDE}/24`, `${OUTSIDE6}/64`);
    side = await Lan.start('side');
    beside = await side.neighbour('beside', `${BESIDE}/24`);
    await beside.run(['ip', 'route', 'add', `${HOST}/32`, 'via', ASIDE]);
    return LabHost.start({
      name: 'port',
      lan: { segment, address: `${HOST}/24`, gateway: OUTSIDE, address6: `${HOST6}/64`, gateway6: OUTSIDE6 },
      dockerdFlags: ['--live-restore'],
    });
  },
  async (host) => {
    await importLabImage(host);
    await side?.attach(host.machine, 'eth1', `${ASIDE}/24`);
    await host.run(['iptables', '-P', 'FORWARD', 'DROP']);
    await host.agent();
    for (const name of ['front', 'back']) await host.docker('network', 'create', ...DRIVERS, '--ipv6', name);
    await host.docker('network', 'create', '--ipv6', '--subnet', '172.30.0.0/24', '--subnet', YARD6, 'yard');
    await mirror(host, 'web', ['-p', `${PORT}:7`, '-p', '5353:7/udp']);
    await start(host, 'near', { network: 'front', command: ['cat'], flags: ['-i'] });
    await start(host, 'far', { network: 'back', command: ['cat'], flags: ['-i'] });
  },
);
after(async () => {
  await segment?.[Symbol.asyncDispose]();
  await side?.[Symbol.asyncDispose]();
});

/** A container that tells everyone who asks on port 7 his own address. */
function mirror(host: LabHost, name: string, ports: string[]): Promise<string> {
  const flags = [...ports, '--label', `id=${name}`];
  return start(host, name, { network: 'front', flags, command: ['probe', 'mirror', '7'] });
}

interface Question {
  protocol?: 'tcp' | 'udp';
  address?: string;
  port?: number;
}

function command({ protocol = 'tcp', address = HOST, port = PORT }: Question, probe = 'probe'): string[] {
  return [probe, 'ask', protocol, address, String(port)];
}

/** "who answered, who I am"; empty where nobody did. */
async function fromOutside(host: LabHost, question: Question = {}): Promise<string> {
  return (await outside.attempt(command(question, `${host.machine.folder}/probe`))).stdout.trim();
}

async function fromBeside(host: LabHost, question: Question): Promise<string> {
  return (await beside.attempt(command(question, `${host.machine.folder}/probe`))).stdout.trim();
}

async function fromHost(host: LabHost, question: Question = {}): Promise<string> {
  return (await host.attempt(command(question, `${host.machine.folder}/probe`))).stdout.trim();
}

async function fromContainer(host: LabHost, name: string, question: Question = {}): Promise<string> {
  return (await host.attemptDocker('exec', name, ...command(question))).stdout.trim();
}

function addressOf(host: LabHost, name: string, family: 'IPv4' | 'IPv6'): Promise<string> {
  const field = family === 'IPv4' ? 'IPAddress' : 'GlobalIPv6Address';
  return host.docker('inspect', '-f', `{{range .NetworkSettings.Networks}}{{.${field}}}{{end}}`, name);
}

const WEB = ['0.0.0.0:5353/UDP web', '0.0.0.0:8080/TCP web', ':::5353/UDP web', ':::8080/TCP web'];

async function frontends(host: LabHost): Promise<string[]> {
  const services = await ask<api.Service[]>(host, '/v1/services');
  return services
    .map(({ frontend, protocol, containerName }) => {
      return `${frontend.address}:${frontend.port}/${protocol} ${containerName}`;
    })
    .toSorted();
}

for (const family of FAMILIES) {
  const { name, local, inside } = family;

  published.test(`${name}: from outside, by TCP and UDP, and the container sees who asks`, async (host) => {
    const seen = `${family.host} ${family.outside}`;
    assert.equal(await fromOutside(host, { address: family.host }), seen);
    const udp = { address: family.host, protocol: 'udp', port: 5353 } as const;
    assert.equal(await fromOutside(host, udp), seen);
    assert.equal(await fromOutside(host, { ...udp, protocol: 'tcp' }), '', 'that port is published for UDP');
  });

  published.test(`${name}: from the host, by its own address and by loopback`, async (host) => {
    for (const address of [family.host, local]) {
      const seen = new RegExp(`^${address} ${inside}`);
      assert.match(await fromHost(host, { address }), seen);
      assert.match(await fromHost(host, { address, protocol: 'udp', port: 5353 }), seen);
    }
  });

  published.test(`${name}: from containers of this and another network, and from itself`, async (host) => {
    const question = { address: family.host };
    const udp = { ...question, protocol: 'udp', port: 5353 } as const;
    for (const from of ['near', 'far']) {
      const seen = `${family.host} ${await addressOf(host, from, name)}`;
      assert.equal(await fromContainer(host, from, question), seen);
      assert.equal(await fromContainer(host, from, udp), seen);
    }
    const itself = `${family.host} ${family.host}`;
    assert.equal(await fromContainer(host, 'web', question), itself, 'its own address would be forged');
    assert.equal(await fromContainer(host, 'web', udp), itself);
    const past = { address: await addressOf(host, 'web', name), port: 7 };
    assert.equal(await fromContainer(host, 'far', past), '', 'not past the port');
  });
}

published.test('from another network of the host’s, by any of its addresses', async (host) => {
  for (const address of [ASIDE, HOST])
    assert.equal(await fromBeside(host, { address }), `${address} ${BESIDE}`);
  const server = beside.background([`${host.machine.folder}/probe`, 'mirror', '7']);
  const answer = (): Promise<string> => fromContainer(host, 'near', { address: BESIDE, port: 7 });
  await until('it is the world for containers', async () => (await answer()) === `${BESIDE} ${ASIDE}`);
  server.kill();
});

for (const network of ['bridge', 'yard'])
  published.test(
    `from containers of Docker’s network ${network}, as the world that they are`,
    async (host) => {
      await start(host, 'other', { network, command: ['cat'], flags: ['-i'] });
      const other = await addressOf(host, 'other', 'IPv4');
      const bridge = await host.docker(
        'inspect',
        '-f',
        '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}',
        'other',
      );
      for (const address of [HOST, bridge]) {
        assert.equal(await fromContainer(host, 'other', { address }), `${address} ${other}`);
        const udp = { address, protocol: 'udp', port: 5353 } as const;
        assert.equal(await fromContainer(host, 'other', udp), `${address} ${other}`);
      }
      if (network === 'yard') {
        const unchecked = ['ip', '-6', 'address', 'show', 'tentative', 'to', YARD6];
        await until('the bridge may use its address', async () => (await host.run(unchecked)) === '');
        const seen = `${HOST6} ${await addressOf(host, 'other', 'IPv6')}`;
        assert.equal(await fromContainer(host, 'other', { address: HOST6 }), seen);
      }
      const past = { address: await addressOf(host, 'web', 'IPv4'), port: 7 };
      assert.equal(await fromContainer(host, 'other', past), '', 'not past the port');
      assert.equal(await fromContainer(host, 'near', { address: other, port: 7 }), '', 'nor the other way');
      await setPolicy(host, [
        { endpointSelector: { matchLabels: { id: 'web' } }, ingress: [{ fromCIDR: [`${OUTSIDE}/32`] }] },
      ]);
      assert.equal(await fromContainer(host, 'other'), '', 'policy decides');
      await setPolicy(host, [
        { endpointSelector: { matchLabels: { id: 'web' } }, ingress: [{ fromCIDR: [`${other}/32`] }] },
      ]);
      assert.equal(await fromContainer(host, 'other'), `${HOST} ${other}`);
      await setPolicy(host, []);
      await remove(host, 'other');
    },
  );

published.test('a port of 127.0.0.1 is the host’s alone, a port of one address no other’s', async (host) => {
  await mirror(host, 'private', ['-p', `${LOCAL}:9001:7`, '-p', `${HOST}:9002:7`]);
  assert.match(await fromHost(host, { address: LOCAL, port: 9001 }), /^127\.0\.0\.1 10\.210\./);
  assert.equal(await fromHost(host, { port: 9001 }), '');
  assert.equal(await fromOutside(host, { port: 9001 }), '');
  assert.equal(await fromContainer(host, 'near', { port: 9001 }), '');
  assert.equal(await fromOutside(host, { port: 9002 }), `${HOST} ${OUTSIDE}`);
  assert.equal(await fromHost(host, { address: LOCAL, port: 9002 }), '');
  await remove(host, 'private');
});

published.test('ranges, any port, and what is shown of them', async (host) => {
  await mirror(host, 'many', ['-p', '9100-9101:7-8', '-p', '9200-9210:7', '-p', '7', '-p', '9200-9210:8']);
  const services = await host.weirJson<api.Service[]>('service', 'list');
  const ports = services
    .filter(({ containerName, frontend }) => containerName === 'many' && frontend.address === '0.0.0.0')
    .map(({ frontend, backends }) => [frontend.port, backends[0]?.port]);
  const [any] = ports.filter(([port = 0]) => port >= 32768);
  assert.deepEqual(
    ports.filter((port) => port !== any).toSorted(([a = 0], [b = 0]) => a - b),
    [
      [9100, 7],
      [9101, 8],
      [9200, 7],
      [9201, 8],
    ],
  );
  for (const port of [9100, 9200, any?.[0]])
    assert.equal(await fromOutside(host, { port: port ?? 0 }), `${HOST} ${OUTSIDE}`);
  assert.match(await host.weir('service', 'list'), /ID +FRONTEND +PROTOCOL +BACKEND +CONTAINER\n/);
  assert.match(await host.weir('bpf', 'lb', 'list'), /0\.0\.0\.0:8080 +TCP +10\.210\.0\.\d+:7 +\d+/);
  await remove(host, 'many');
  assert.deepEqual(await frontends(host), WEB);
});

published.test('a port that is taken is refused with who has it, and nothing is left', async (host) => {
  const attempt = (port: string): ReturnType<LabHost['attemptDocker']> =>
    host.attemptDocker('run', '--rm', '--network', 'front', '-p', '9300:7', '-p', port, IMAGE, 'true');
  const byContainer = await attempt(`${PORT}:7`);
  assert.notEqual(byContainer.code, 0);
  assert.match(byContainer.stderr, /port 8080\/tcp is published for container web already/);
  const server = host.machine.background(['busybox', 'nc', '-l', '-p', '9301']);
  await until('a server has the port', async () => (await host.run(['ss', '-ltn'])).includes(':9301'));
  const byProcess = await attempt('9301:7');
  assert.match(byProcess.stderr, /port 9301\/tcp is in use by busybox \(pid \d+\)/);
  server.kill();
  const elsewhere = await attempt('192.0.2.9:9302:7');
  assert.match(
    elsewhere.stderr,
    /cannot publish port 9302\/tcp of 192\.0\.2\.9.*name an address of this host/,
  );
  assert.deepEqual(await frontends(host), WEB);
  const taken = await host.attempt(['busybox', 'nc', '-l', '-p', String(PORT)]);
  assert.notEqual(taken.code, 0, 'a server does not get a published port');
});

published.test('policy closes the port and opens it to a range; trace knows', async (host) => {
  const traced = async (): Promise<string> => {
    const dports = [{ port: 7, protocol: 'TCP' }];
    const query = { source: { labels: [`cidr:${OUTSIDE}/32`] }, destination: { endpoint: 'web' }, dports };
    return (await ask<api.TraceResult>(host, '/v1/policy/trace', query)).verdict;
  };
  const rule = (ingress: object[]): object => ({ endpointSelector: { matchLabels: { id: 'web' } }, ingress });
  assert.equal(await traced(), 'allowed');
  await setPolicy(host, [rule([{ fromEntities: ['cluster'] }])]);
  assert.deepEqual([await traced(), await fromOutside(host)], ['denied', '']);
  assert.match(await fromHost(host, { address: LOCAL }), /^127\.0\.0\.1 /);
  const toPorts = [{ ports: [{ port: '7', protocol: 'TCP' }] }];
  await setPolicy(host, [rule([{ fromCIDR: ['192.168.77.0/24'], toPorts }])]);
  assert.deepEqual([await traced(), await fromOutside(host)], ['allowed', `${HOST} ${OUTSIDE}`]);
  assert.equal(await fromOutside(host, { protocol: 'udp', port: 5353 }), '');
  assert.equal(await fromContainer(host, 'near'), '', 'policy sees the container that asks');
  await setPolicy(host, []);
});

published.test('it survives the agent, dockerd, and a restart of the container', async (host) => {
  await host.killAgent();
  assert.equal(await fromOutside(host), `${HOST} ${OUTSIDE}`, 'without the agent');
  assert.match(await fromHost(host, { address: LOCAL }), /^127\.0\.0\.1 /);
  await host.agent();
  assert.equal(await fromOutside(host), `${HOST} ${OUTSIDE}`);
  assert.match(await fromHost(host, { address: LOCAL }), /^127\.0\.0\.1 /);
  await host.stopDockerd();
  await host.startDockerd(['--live-restore']);
  assert.equal(await fromOutside(host), `${HOST} ${OUTSIDE}`, 'with another dockerd');
  await host.docker('restart', '-t', '1', 'web');
  await until('the container answers again', async () => (await fromOutside(host)) === `${HOST} ${OUTSIDE}`);
  assert.deepEqual(await frontends(host), WEB);
});

published.test('a network that is left gives the port to the next one', async (host) => {
  await host.docker('network', 'connect', 'back', 'web');
  await host.docker('network', 'disconnect', 'front', 'web');
  await until('the port leads to the other network', async () => {
    return (await fromOutside(host)) === `${HOST} ${OUTSIDE}`;
  });
  await host.docker('stop', '-t', '1', 'web');
  assert.equal(await fromOutside(host), '');
  assert.deepEqual(await frontends(host), []);
});
