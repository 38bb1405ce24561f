import { test } from 'node:test';
import assert from 'node:assert/strict';
import { HostError, parseCidr } from '../base/index.ts';
import { bench, DUAL, exact, gateway, next, pool, pool6, refused, take } from './bench.test-support.ts';
import type { PoolStatus } from './ipam.ts';
import { looksOf } from './looks.test-support.ts';

test('networks without an IPv6 subnet share the node prefix, and count up as in IPv4', async () => {
  await using at = await bench(DUAL);
  const [one, two, four] = [await pool6(at.ipam), await pool6(at.ipam), await pool(at.ipam)];
  assert.deepEqual([one.cidr, one.gateway], ['fd00:210::/64', 'fd00:210::1/128']);
  assert.notEqual(one.id, two.id);
  assert.equal(await next(at.ipam, one.id), 'fd00:210::2/128');
  assert.equal(await next(at.ipam, two.id), 'fd00:210::3/128');
  assert.equal(await next(at.ipam, four.id), '10.210.0.2/32');
  assert.deepEqual([at.ipam.nodeAddress(4), at.ipam.nodeAddress(6)], ['10.210.0.1', 'fd00:210::1']);
  assert.deepEqual(
    at.ipam.list().map(({ cidr, gateway, allocated, isFull }) => [cidr, gateway, allocated, isFull]),
    [
      ['10.210.0.0/24', '10.210.0.1', 1, false],
      ['fd00:210::/64', 'fd00:210::1', 2, false],
    ],
  );
});

test('an IPv6 subnet with gateway, range and auxiliary addresses is honoured', async () => {
  await using at = await bench(DUAL);
  const { id, gateway: given } = await pool6(at.ipam, 'fd00:77::/64', 'fd00:77::a:0/112');
  assert.equal(given, undefined);
  assert.equal(await gateway(at.ipam, id, 'fd00:77::9'), 'fd00:77::9/64');
  assert.equal(await exact(at.ipam, id, 'FD00:77::A:1'), 'fd00:77::a:1/128');
  assert.equal(await next(at.ipam, id), 'fd00:77::a:0/128');
  assert.equal(await next(at.ipam, id), 'fd00:77::a:2/128');
  assert.equal(
    await exact(at.ipam, id, 'fd00:77:0:0:ffff:ffff:ffff:ffff'),
    'fd00:77::ffff:ffff:ffff:ffff/128',
  );
  assert.equal(await gateway(at.ipam, (await pool6(at.ipam, 'fd00:78::/64')).id), 'fd00:78::1/64');
});

test('both families of one network are pools of their own, persisted alike', async () => {
  await using at = await bench(DUAL);
  const [four, six] = [await pool(at.ipam, '10.77.0.0/24'), await pool6(at.ipam, 'fd00:77::/64')];
  for (const { id } of [four, six, six]) await next(at.ipam, id);
  await at.ipam.releaseAddress(six.id, 'fd00:77:0::1');
  const before = [at.ipam.list(), at.ipam.addresses()];
  await at.restart();
  assert.deepEqual([at.ipam.list(), at.ipam.addresses()], before);
  assert.equal(await next(at.ipam, six.id), 'fd00:77::3/128', 'what was freed rests');
  await at.ipam.releasePool(six.id);
  assert.deepEqual(at.ipam.addresses(), [{ address: '10.77.0.1', poolId: four.id }]);
  await at.ipam.releasePool(four.id);
  assert.deepEqual(await at.store.list('ipam/'), []);
});

const refusals: { name: string; subnet: string; range?: string; code: string; message: RegExp }[] = [
  {
    name: 'a part of the cluster',
    subnet: 'fd00:210:0:7::/64',
    code: 'POOL_OVERLAP',
    message: /fd00:210::\/48, the cluster's own addresses/,
  },
  {
    name: 'around another pool',
    subnet: 'fd00:77::/32',
    code: 'POOL_OVERLAP',
    message: /the pool of another weir network$/,
  },
  {
    name: 'a route of the host',
    subnet: 'fd01:1::/64',
    code: 'POOL_OVERLAP',
    message: /fd01::\/16, which this host routes/,
  },
  { name: 'loopback', subnet: '::/64', code: 'SUBNET_INVALID', message: /::\/8, loopback/ },
  { name: 'IPv4 in disguise', subnet: '::ffff:10.0.0.0/104', code: 'BAD_CIDR', message: /host bits/ },
  { name: 'link-local', subnet: 'fe80::/64', code: 'SUBNET_INVALID', message: /link-local/ },
  { name: 'multicast', subnet: 'ff15::/64', code: 'SUBNET_INVALID', message: /multicast/ },
  { name: 'an IPv4 one', subnet: '10.2.0.0/24', code: 'SUBNET_INVALID', message: /not an IPv6 one/ },
  { name: 'too small', subnet: 'fd02::/127', code: 'SUBNET_INVALID', message: /too small/ },
  { name: 'host bits', subnet: 'fd02::1/64', code: 'BAD_CIDR', message: /host bits/ },
  {
    name: 'a range of the other family',
    subnet: 'fd02::/64',
    range: '10.0.0.0/24',
    code: 'RANGE_INVALID',
    message: /not inside/,
  },
];
for (const { name, subnet, range, code, message } of refusals) {
  test(`an IPv6 subnet is refused that is ${name}`, async () => {
    await using at = await bench(DUAL);
    at.routes.push(parseCidr('::/0'), parseCidr('fd01::/16'));
    await gateway(at.ipam, (await pool6(at.ipam, 'fd00:77::/64')).id);
    const before = await at.store.list('');
    await assert.rejects(pool6(at.ipam, subnet, range), refused(code, message));
    assert.deepEqual(await at.store.list(''), before);
  });
}

const addresses: { name: string; address: string; code: string }[] = [
  { name: 'held', address: 'fd00:77::5', code: 'ADDRESS_IN_USE' },
  { name: 'held, written otherwise', address: 'fd00:0077:0::0005', code: 'ADDRESS_IN_USE' },
  { name: 'outside', address: 'fd00:78::5', code: 'ADDRESS_OUTSIDE' },
  { name: 'of any router', address: 'fd00:77::', code: 'ADDRESS_RESERVED' },
  { name: 'of the other family', address: '10.77.0.5', code: 'ADDRESS_OUTSIDE' },
  { name: 'with a zone', address: 'fd00:77::7%eth0', code: 'BAD_ADDRESS' },
];
for (const { name, address, code } of addresses) {
  test(`an IPv6 address is refused that is ${name}`, async () => {
    await using at = await bench(DUAL);
    const { id } = await pool6(at.ipam, 'fd00:77::/64');
    await exact(at.ipam, id, 'fd00:77::5');
    await assert.rejects(exact(at.ipam, id, address), refused(code, /./));
    assert.equal(at.ipam.addresses().length, 1);
  });
}

test('a subnet of 2^64 addresses is counted, and only as much of it looked at as is in use', async () => {
  await using at = await bench(DUAL);
  const { id } = await pool6(at.ipam, 'fd00:77::/64');
  let row: PoolStatus | undefined;
  const looks = await looksOf(async () => {
    await take(at.ipam, id, 4096);
    row = at.ipam.list().find((each) => each.id === id);
  });
  assert.ok(looks < 20 * 4096, `${looks} looks for 4096 addresses`);
  assert.deepEqual([row?.allocated, row?.capacity, row?.isFull], [4096, 2 ** 64, false]);
});

test('a full IPv6 node prefix claims another, and says when there is none', async () => {
  const ipv6 = { clusterCidr: 'fd00:210::/124', nodePrefix: 'fd00:210::/126' };
  await using at = await bench({ ipv6 });
  at.routes.push(parseCidr('fd00:210::8/126'));
  const { id } = await pool6(at.ipam);
  const given = await Promise.all(Array.from({ length: 2 + 3 + 3 }, () => next(at.ipam, id)));
  assert.deepEqual(
    given.toSorted(),
    ['2', '3', '5', '6', '7', 'd', 'e', 'f'].map((host) => `fd00:210::${host}/128`),
  );
  await assert.rejects(
    next(at.ipam, id),
    refused('POOL_EXHAUSTED', /^all 8 addresses of this host are in use, and cluster CIDR fd00:210::\/124/),
  );
  const own = (cidr: string): boolean => cidr.includes(':');
  const before = at.ipam.list();
  assert.deepEqual(before.map(({ cidr }) => cidr).filter(own), [
    'fd00:210::/126',
    'fd00:210::4/126',
    'fd00:210::c/126',
  ]);
  await at.restart({ ipv6 });
  assert.deepEqual(at.ipam.list(), before);
});

test('a node prefix that the host routes is refused, with the flag of its family', async () => {
  await using at = await bench(DUAL);
  at.routes.push(parseCidr('fd00::/16'));
  await assert.rejects(pool6(at.ipam), (error: unknown) => {
    refused('POOL_OVERLAP', /fd00:210::\/64 overlaps fd00::\/16/)(error);
    assert.match(String((error as { hint?: string }).hint), /--cluster-cidr6/);
    return true;
  });
  assert.equal((await pool(at.ipam)).cidr, '10.210.0.0/24');
});

test('both address spaces accept the same IPv6 pool, and the same address once each', async () => {
  await using at = await bench(DUAL);
  const globally = await pool6(at.ipam, 'fd00:92::/64', '', 'global');
  const locally = await pool6(at.ipam, 'fd00:92::/64');
  assert.equal(await gateway(at.ipam, globally.id), 'fd00:92::1/64');
  assert.equal(await gateway(at.ipam, locally.id, 'fd00:92::1'), 'fd00:92::1/64');
  assert.equal(await next(at.ipam, globally.id), 'fd00:92::2/128');
  assert.equal(await exact(at.ipam, locally.id, 'fd00:92::2'), 'fd00:92::2/128');
});

test('what Docker no longer knows is released in both families', async () => {
  await using at = await bench(DUAL);
  const flat = await pool6(at.ipam);
  const gone = await pool6(at.ipam, 'fd00:78::/64');
  for (const { id } of [flat, flat, gone]) await next(at.ipam, id);
  await at.restart();
  const freed = await at.ipam.reconcile({ subnets: [], addresses: ['fd00:210::3'] });
  assert.deepEqual(freed, { addresses: ['fd00:210::2'], subnets: ['fd00:78::/64'] });
});

test('a host without IPv6 says so, and keeps what it had before it lost it', async () => {
  await using at = await bench(DUAL);
  const flat = await pool6(at.ipam);
  await next(at.ipam, flat.id);
  await at.restart({ ipv6: undefined as never });
  for (const subnet of ['', 'fd00:79::/64'])
    await assert.rejects(
      pool6(at.ipam, subnet),
      (error: unknown) => error instanceof HostError && error.code === 'IPV6_UNAVAILABLE',
    );
  await at.restart(DUAL);
  assert.equal(await next(at.ipam, flat.id), 'fd00:210::3/128');
});
