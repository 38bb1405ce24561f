import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FakeHost, fakeHost } from './fakes.ts';

const APP = '10.210.0.5';
const DB = '10.210.0.6';
const BOX = '/ns/box';

/** Networks app, db and own (a subnet of its own), and container box, which is on some of them and on others' networks. */
async function mixedHost(...networks: string[]): Promise<FakeHost> {
  const host = fakeHost();
  for (const name of ['app', 'db']) await host.network(`n-${name}`);
  await host.network('n-own', {}, { pool: '10.85.0.0/24' });
  for (const name of ['app', 'db', 'own']) {
    await host.endpoints.learnNetwork(`n-${name}`, name);
    host.docker.tell(`box-${name}`, name, 'box');
    host.docker.tellFurther(`box-${name}`, ...networks.filter((network) => network !== name));
  }
  return host;
}

/** As dockerd joins it: what the answer says is then in the container. */
async function join(host: FakeHost, name: string, address: string): Promise<string[]> {
  const answer = await host.run(`box-${name}`, `n-${name}`, address, BOX);
  host.routing.program(address, answer);
  return answer.StaticRoutes.map(({ Destination }) => Destination);
}

/** Which of the container's addresses a packet to `destination` takes, by its static routes; undefined: by the default route. */
function way(host: FakeHost, destination: string): string | undefined {
  const number = (text: string): number =>
    text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const found = host.routing
    .list()
    .map((route) => /^(\S+)\/(\d+) .* by (\S+)$/.exec(route) ?? [])
    .filter(([, prefix = '', length]) => {
      const size = 2 ** (32 - Number(length));
      return Math.floor(number(prefix) / size) === Math.floor(number(destination) / size);
    });
  return found.sort((a, b) => Number(b[2]) - Number(a[2]))[0]?.[3];
}

describe("a container on another driver's network", () => {
  test('has one route to weir', async () => {
    const host = await mixedHost('app', 'bridge');
    assert.deepEqual(await join(host, 'app', APP), ['169.254.1.1/32', '10.210.0.0/16']);
  });

  test('and on two of weir: the last one leads to weir, around the address of the first', async () => {
    const host = await mixedHost('app', 'bridge', 'db');
    assert.deepEqual(await join(host, 'app', APP), ['169.254.1.1/32']);
    await join(host, 'db', DB);
    assert.equal(way(host, '10.210.7.7'), DB);
    assert.equal(way(host, '10.210.0.4'), DB);
    assert.equal(way(host, APP), undefined);
  });

  test('joins a further one of weir while it runs: its routes make room for the address', async () => {
    const host = await mixedHost('app', 'bridge');
    await join(host, 'app', APP);
    assert.equal(way(host, DB), APP);
    await join(host, 'db', DB);
    assert.equal(way(host, DB), undefined);
    assert.equal(way(host, '10.210.0.7'), APP);
    const again = fakeHost(host.records);
    await again.endpoints.restore();
    assert.deepEqual(
      [...host.records.kept].flatMap(([key, value]) =>
        key === 'endpoints/box-app' ? [(value as { routes: string[] }).routes.length] : [],
      ),
      [16],
    );
  });

  test('leaves the one that leads to weir: another one does, and nothing is cut out any more', async () => {
    const host = await mixedHost('app', 'bridge');
    await join(host, 'app', APP);
    await join(host, 'db', DB);
    await host.endpoints.leave('box-app');
    host.routing.unplug(APP);
    assert.deepEqual(host.routing.list(), [`10.210.0.0/16 via 169.254.1.2 by ${DB}`]);
    await host.endpoints.remove('box-app');
    assert.equal(way(host, APP), DB, 'it may be a neighbour’s now');
  });

  test('leaves one that does not: its address is reached again', async () => {
    const host = await mixedHost('app', 'bridge');
    await join(host, 'app', APP);
    await join(host, 'db', DB);
    await host.endpoints.leave('box-db');
    assert.deepEqual(host.routing.list(), [`10.210.0.0/16 via 169.254.1.1 by ${APP}`]);
  });

  test('reaches a subnet outside of the cluster by its own network', async () => {
    const host = await mixedHost('app', 'bridge', 'own');
    await join(host, 'own', '10.85.0.9');
    await join(host, 'app', APP);
    assert.equal(way(host, '10.85.0.77'), '10.85.0.9');
    assert.equal(way(host, '10.210.0.77'), APP);
  });
});

describe('a container of weir alone', () => {
  test('has no static routes', async () => {
    const host = await mixedHost('app', 'db');
    await join(host, 'app', APP);
    await join(host, 'db', DB);
    assert.deepEqual(host.routing.list(), []);
  });

  test('that joins a network of another driver gets a route to weir, and loses it with that network', async () => {
    const host = await mixedHost('app', 'db');
    await join(host, 'app', APP);
    await join(host, 'db', DB);
    await host.endpoints.foreignNetwork('id-of-box', 'bridge', true);
    assert.equal(way(host, '10.210.0.77'), APP);
    assert.equal(way(host, DB), undefined);
    await host.endpoints.foreignNetwork('id-of-box', 'bridge', false);
    assert.deepEqual(host.routing.list(), []);
  });

  test('whose labels come late gets its route then', async () => {
    const host = await mixedHost('app', 'bridge');
    host.docker.isSilent = true;
    assert.deepEqual(await join(host, 'app', APP), ['169.254.1.1/32']);
    await host.endpoints.resolve('box-app', host.docker.facts.get('box-app')!);
    assert.equal(way(host, '10.210.0.77'), APP);
  });

  test('that is not there any more harms nothing', async () => {
    const host = await mixedHost('app');
    await join(host, 'app', APP);
    host.routing.isGone = true;
    await host.endpoints.foreignNetwork('id-of-box', 'bridge', true);
    host.routing.isGone = false;
    await host.endpoints.foreignNetwork('id-of-box', 'other', true);
    assert.equal(way(host, '10.210.0.77'), APP, 'made at the next occasion');
  });
});

test('IPv6 goes the same ways', async () => {
  const host = fakeHost();
  for (const name of ['app', 'db']) {
    await host.network(`n-${name}`, {}, { pool6: 'fd00:210::/64' });
    await host.endpoints.learnNetwork(`n-${name}`, name);
    host.docker.tell(`box-${name}`, name, 'box');
  }
  const place = { ipv4: APP, ipv6: 'fd00:210::5' };
  await host.run('box-app', 'n-app', place, BOX);
  await host.endpoints.foreignNetwork('id-of-box', 'bridge', true);
  assert.deepEqual(host.routing.list(), [
    `10.210.0.0/16 via 169.254.1.1 by ${APP}`,
    'fd00:210::/48 via fe80::1 by fd00:210::5',
  ]);
  await host.run('box-db', 'n-db', { ipv4: DB, ipv6: 'fd00:210::6' }, BOX);
  assert.equal(host.routing.list().length, 16 + 80);
  await host.endpoints.leave('box-app');
  host.routing.unplug(APP, place.ipv6);
  assert.deepEqual(host.routing.list(), [
    `10.210.0.0/16 via 169.254.1.2 by ${DB}`,
    'fd00:210::/48 via fe80::1 by fd00:210::6',
  ]);
});
