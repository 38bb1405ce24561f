import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseCidr } from '../base/index.ts';
import { bench, exact, gateway, next, pool, refused } from './bench.test-support.ts';

test('networks without a subnet share the node prefix flatly, under ids of their own', async () => {
  await using at = await bench();
  const [one, two] = [await pool(at.ipam), await pool(at.ipam)];
  assert.deepEqual([one.cidr, one.gateway, two.cidr], ['10.210.0.0/24', '10.210.0.1/32', '10.210.0.0/24']);
  assert.notEqual(one.id, two.id);
  assert.equal(await next(at.ipam, one.id), '10.210.0.2/32');
  assert.equal(await next(at.ipam, two.id), '10.210.0.3/32');
  await at.ipam.releasePool(one.id);
  assert.deepEqual(at.ipam.addresses(), [{ address: '10.210.0.3', poolId: two.id }]);
});

test('the node prefix as subnet is the flat pool, with --ip and --ip-range', async () => {
  await using at = await bench();
  const { id, gateway: given } = await pool(at.ipam, '10.210.0.0/24', '10.210.0.128/25');
  assert.equal(given, '10.210.0.1/32');
  assert.equal(await gateway(at.ipam, id, '10.210.0.1'), '10.210.0.1/32');
  assert.equal(await next(at.ipam, id), '10.210.0.128/32');
  assert.equal(await exact(at.ipam, id, '10.210.0.9'), '10.210.0.9/32');
});

test('a subnet with gateway, range and auxiliary addresses is honoured', async () => {
  await using at = await bench();
  const { id, gateway: given } = await pool(at.ipam, '10.77.0.0/16', '10.77.8.0/24');
  assert.equal(given, undefined);
  assert.equal(await gateway(at.ipam, id, '10.77.0.9'), '10.77.0.9/16');
  assert.equal(await exact(at.ipam, id, '10.77.8.0'), '10.77.8.0/32');
  assert.equal(await exact(at.ipam, id, '10.77.8.1'), '10.77.8.1/32');
  assert.equal(await next(at.ipam, id), '10.77.8.2/32');
  assert.equal(await exact(at.ipam, id, '10.77.200.200'), '10.77.200.200/32');
  const status = at.ipam.list().find((row) => row.id === id);
  assert.deepEqual(status, {
    id,
    cidr: '10.77.0.0/16',
    subnet: '10.77.0.0/16',
    range: '10.77.8.0/24',
    gateway: '10.77.0.9',
    isFull: false,
    capacity: 256,
    allocated: 3,
    resting: 0,
  });
});

test('the gateway of a subnet is its first address, or any other if that is taken', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.77.0.0/30');
  assert.equal(await gateway(at.ipam, id), '10.77.0.1/30');
  const other = await pool(at.ipam, '10.78.0.0/29');
  await exact(at.ipam, other.id, '10.78.0.1');
  assert.equal(await gateway(at.ipam, other.id), '10.78.0.2/29');
});

const refusals: { name: string; subnet?: string; range?: string; code: string; message: RegExp }[] = [
  {
    name: 'a part of another pool',
    subnet: '10.77.0.128/25',
    code: 'POOL_OVERLAP',
    message: /^10\.77\.0\.128\/25 overlaps 10\.77\.0\.0\/24, the pool of another weir network$/,
  },
  {
    name: 'the same as another pool',
    subnet: '10.77.0.0/24',
    code: 'POOL_OVERLAP',
    message: /another weir network/,
  },
  { name: 'around another pool', subnet: '10.0.0.0/8', code: 'POOL_OVERLAP', message: /cluster's own/ },
  {
    name: 'a part of the cluster',
    subnet: '10.210.7.0/24',
    code: 'POOL_OVERLAP',
    message: /10\.210\.0\.0\/16, the cluster's own addresses/,
  },
  {
    name: 'a route of the host',
    subnet: '192.168.1.0/24',
    code: 'POOL_OVERLAP',
    message: /192\.168\.0\.0\/16, which this host routes/,
  },
  { name: 'loopback', subnet: '127.1.0.0/16', code: 'SUBNET_INVALID', message: /loopback/ },
  { name: 'link-local', subnet: '169.254.1.0/24', code: 'SUBNET_INVALID', message: /link-local/ },
  { name: 'multicast', subnet: '239.0.0.0/8', code: 'SUBNET_INVALID', message: /multicast/ },
  { name: 'everything', subnet: '0.0.0.0/0', code: 'SUBNET_INVALID', message: /overlaps/ },
  { name: 'too small', subnet: '10.1.1.0/31', code: 'SUBNET_INVALID', message: /too small/ },
  { name: 'no prefix', subnet: '10.1', code: 'BAD_CIDR', message: /not a CIDR/ },
  { name: 'host bits', subnet: '10.1.1.1/24', code: 'BAD_CIDR', message: /host bits/ },
  {
    name: 'a range outside',
    subnet: '10.1.0.0/24',
    range: '10.2.0.0/25',
    code: 'RANGE_INVALID',
    message: /not inside the subnet/,
  },
  {
    name: 'a range of another family',
    subnet: '10.1.0.0/24',
    range: 'fd00::/64',
    code: 'RANGE_INVALID',
    message: /not inside/,
  },
  { name: 'a range without a subnet', range: '10.210.0.0/25', code: 'RANGE_INVALID', message: /no subnet/ },
];
for (const { name, subnet, range, code, message } of refusals) {
  test(`a subnet is refused that is ${name}`, async () => {
    await using at = await bench();
    at.routes.push(parseCidr('0.0.0.0/0'), parseCidr('192.168.0.0/16'));
    const { id } = await pool(at.ipam, '10.77.0.0/24');
    await gateway(at.ipam, id);
    const before = await at.store.list('');
    await assert.rejects(pool(at.ipam, subnet, range), refused(code, message));
    assert.deepEqual(await at.store.list(''), before);
  });
}

test('unknown address spaces are refused', async () => {
  await using at = await bench();
  await assert.rejects(pool(at.ipam, '', '', 'elsewhere'), refused('BAD_REQUEST', /elsewhere/));
});

test('a node prefix that the host routes is refused, so that Docker does not ask for ever', async () => {
  await using at = await bench();
  at.routes.push(parseCidr('10.0.0.0/8'));
  await assert.rejects(pool(at.ipam), refused('POOL_OVERLAP', /10\.210\.0\.0\/24 overlaps 10\.0\.0\.0\/8/));
});

test('a pool that is gone or was never there gives nothing', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.77.0.0/24');
  await at.ipam.releasePool(id);
  for (const unknown of [
    id,
    'x',
    'local/10.211.0.0/24/0123456789ab',
    'local/10.210.0.0/24/9.9.9.0/24/0123456789ab',
  ]) {
    await assert.rejects(next(at.ipam, unknown), refused('POOL_UNKNOWN', /not known/));
  }
});

test('a creation that was cut short does not block its subnet; the late half of it gets nothing', async () => {
  await using at = await bench();
  const lost = await pool(at.ipam, '10.77.0.0/24');
  const again = await pool(at.ipam, '10.77.0.0/24');
  assert.notEqual(again.id, lost.id);
  assert.equal(await gateway(at.ipam, again.id), '10.77.0.1/24');
  await assert.rejects(gateway(at.ipam, lost.id), refused('POOL_UNKNOWN', /not known/));
  await at.ipam.releasePool(lost.id);
  assert.equal(await next(at.ipam, again.id), '10.77.0.2/32');
});

test('both address spaces accept the same pool, and the same address once each', async () => {
  await using at = await bench();
  const globally = await pool(at.ipam, '10.92.0.0/24', '', 'global');
  const locally = await pool(at.ipam, '10.92.0.0/24');
  assert.equal(await gateway(at.ipam, globally.id), '10.92.0.1/24');
  assert.equal(await gateway(at.ipam, locally.id, '10.92.0.1'), '10.92.0.1/24');
  assert.equal(await next(at.ipam, globally.id), '10.92.0.2/32');
  assert.equal(await exact(at.ipam, locally.id, '10.92.0.2'), '10.92.0.2/32');
  assert.equal(await next(at.ipam, locally.id), '10.92.0.3/32', 'what the other space holds is not free');
  await assert.rejects(exact(at.ipam, locally.id, '10.92.0.2'), refused('ADDRESS_IN_USE', /10\.92\.0\.2/));
  await assert.rejects(pool(at.ipam, '10.92.0.0/25'), refused('POOL_OVERLAP', /another weir network/));
  await at.restart();
  await at.ipam.releasePool(locally.id);
  assert.deepEqual(
    at.ipam
      .addresses()
      .map(({ address }) => address)
      .toSorted(),
    ['10.92.0.1', '10.92.0.2'],
  );
  await at.ipam.releasePool(globally.id);
  assert.deepEqual(at.ipam.addresses(), []);
});
