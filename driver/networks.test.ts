import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeHost, FakeRecords } from './fakes.ts';
import { Networks } from './networks.ts';

test('each network has a space and a gateway of its own, from 2 up; isolation=none shares space 1', async () => {
  const host = fakeHost();
  await Promise.all([
    host.network('a'),
    host.network('b'),
    host.network('c', { 'weir.isolation': 'none' }),
    host.network('d', { 'weir.isolation': 'none' }),
  ]);
  const spaces = ['a', 'b', 'c', 'd'].map((id) => host.networks.get(id).space);
  assert.deepEqual(spaces, [2, 3, 1, 1]);
  assert.equal(new Set(host.networks.list().map((network) => network.gateway4)).size, 4);
});

test("the host's own address is no next hop, even if IPAM offers it", async () => {
  const records = new FakeRecords();
  const networks = new Networks({ records, now: () => 0, hostAddresses: ['10.210.0.1'] });
  const options = { isolation: 'network', ports: 'publish' } as const;
  const request = {
    id: 'a',
    internal: false,
    options,
    pools: ['10.210.0.0/24'],
    gateways: { ipv4: '10.210.0.1' },
  };
  assert.equal((await networks.create(request)).gateway4, '169.254.1.1');
});

test('a network survives a restart as it was', async () => {
  const host = fakeHost();
  await host.network('a', { 'weir.mtu': '1400' }, { internal: true, gateway: '10.210.0.1/24' });
  await host.networks.learnName('a', 'app-net');
  const again = new Networks({ records: host.records, now: () => 0 });
  await again.load();
  assert.deepEqual(again.list(), host.networks.list());
  const spec = { id: 'a', name: 'app-net', space: 2, internal: true, gateway4: '10.210.0.1', mtu: 1400 };
  assert.deepEqual(again.spec('a'), spec);
});

test('the same id again changes nothing, also at once', async () => {
  const host = fakeHost();
  await Promise.all([host.network('a'), host.network('a', { 'weir.isolation': 'none' })]);
  assert.equal(host.networks.list().length, 1);
  assert.equal(host.networks.get('a').isolation, 'network');
});

test('a network that could not be written is not there, and its space and gateway are free', async () => {
  const host = fakeHost();
  host.records.failing = true;
  await assert.rejects(host.network('a'), /disk full/);
  host.records.failing = false;
  assert.equal(host.networks.find('a'), undefined);
  await host.network('b');
  assert.deepEqual([host.networks.get('b').space, host.networks.get('b').gateway4], [2, '169.254.1.1']);
});

test('removal is repeatable and frees the number', async () => {
  const host = fakeHost();
  await host.network('a');
  await host.networks.remove('a');
  await host.networks.remove('a');
  await host.network('b');
  assert.equal(host.networks.get('b').space, 2);
  assert.deepEqual([...host.records.kept.keys()], ['networks/b']);
});

test('networks of one name share one space, an isolated one', async () => {
  const host = fakeHost();
  await host.network('open', { 'weir.isolation': 'none' });
  await host.network('first');
  await host.network('second');
  assert.deepEqual(await host.networks.learnName('first', 'app'), ['first']);
  assert.deepEqual(await host.networks.learnName('second', 'app'), ['second']);
  assert.deepEqual(await host.networks.learnName('second', 'app'), []);
  assert.deepEqual(await host.networks.learnName('open', 'app'), ['open']);
  assert.deepEqual(
    host.networks.list().map((network) => network.space),
    [2, 2, 2],
  );
  assert.equal(host.networks.spaceOf('app'), 2);
  assert.equal(host.networks.spaceOf('other'), undefined);
});

test('an unknown network is named in the error', () => {
  assert.throws(() => fakeHost().networks.get('0123456789abcdef'), {
    code: 'NETWORK_UNKNOWN',
    message: /0123456789ab /,
  });
});
