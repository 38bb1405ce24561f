import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseCidr } from '../base/index.ts';
import type { UserError } from '../base/index.ts';
import type { Operation } from '../kvstore/index.ts';
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

const addresses: { name: string; address: string; code: string; message: RegExp }[] = [
  { name: 'held', address: '10.77.0.5', code: 'ADDRESS_IN_USE', message: /10\.77\.0\.5 is in use/ },
  {
    name: 'outside',
    address: '10.78.0.5',
    code: 'ADDRESS_OUTSIDE',
    message: /10\.78\.0\.5 is not inside the pool 10\.77\.0\.0\/24/,
  },
  { name: "the network's", address: '10.77.0.0', code: 'ADDRESS_RESERVED', message: /10\.77\.0\.0/ },
  { name: "the broadcast's", address: '10.77.0.255', code: 'ADDRESS_RESERVED', message: /10\.77\.0\.255/ },
  { name: 'of the other family', address: 'fd00::5', code: 'ADDRESS_OUTSIDE', message: /fd00::5/ },
  { name: 'no address', address: '10.77.5', code: 'BAD_ADDRESS', message: /10\.77\.5/ },
];
for (const { name, address, code, message } of addresses) {
  test(`an address is refused that is ${name}`, async () => {
    await using at = await bench();
    const { id } = await pool(at.ipam, '10.77.0.0/24');
    await exact(at.ipam, id, '10.77.0.5');
    await assert.rejects(exact(at.ipam, id, address), refused(code, message));
    assert.equal(at.ipam.addresses().length, 1);
  });
}

test("the host's own address is given to nobody", async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.210.0.0/24');
  assert.equal(at.ipam.nodeAddress(4), '10.210.0.1');
  await assert.rejects(exact(at.ipam, id, '10.210.0.1'), refused('ADDRESS_RESERVED', /own/));
  await at.ipam.releaseAddress(id, '10.210.0.1');
});

test('a full pool says its name, its size and the way to more', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.77.0.0/29');
  for (let n = 0; n < 6; n++) {
    assert.equal(at.ipam.list().find((row) => row.id === id)?.isFull, false);
    await next(at.ipam, id);
  }
  assert.equal(at.ipam.list().find((row) => row.id === id)?.isFull, true);
  await assert.rejects(next(at.ipam, id), (error: unknown) => {
    refused('POOL_EXHAUSTED', /^pool 10\.77\.0\.0\/29 is full: all of its 6 addresses are in use$/)(error);
    assert.match((error as UserError).hint!, /larger --subnet/);
    return true;
  });
  const ranged = await pool(at.ipam, '10.78.0.0/16', '10.78.8.0/31');
  await next(at.ipam, ranged.id);
  await next(at.ipam, ranged.id);
  await assert.rejects(
    next(at.ipam, ranged.id),
    refused('POOL_EXHAUSTED', /^IP range 10\.78\.8\.0\/31 of pool 10\.78\.0\.0\/16 is full: all of its 2/),
  );
});

test('freed addresses come back last, oldest first, and at once when nothing else is free', async () => {
  await using at = await bench({ nodePrefix: '10.210.0.0/29' });
  const { id } = await pool(at.ipam);
  const [a, b, c] = [await next(at.ipam, id), await next(at.ipam, id), await next(at.ipam, id)].map((text) =>
    text.replace('/32', ''),
  );
  await at.ipam.releaseAddress(id, b!);
  await at.ipam.releaseAddress(id, a!);
  await at.ipam.releaseAddress(id, c!);
  const order = [];
  for (let n = 0; n < 5; n++) order.push(await next(at.ipam, id));
  assert.deepEqual(order, [
    '10.210.0.5/32',
    '10.210.0.6/32',
    '10.210.0.3/32',
    '10.210.0.2/32',
    '10.210.0.4/32',
  ]);
});

test('the rest outlives a restart; its record does not outlive the rest', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam);
  await next(at.ipam, id);
  await next(at.ipam, id);
  await at.ipam.releaseAddress(id, '10.210.0.2');
  assert.equal(at.ipam.list()[0]!.resting, 1);
  await at.restart();
  assert.equal(await next(at.ipam, id), '10.210.0.4/32');
  at.clock.time += 30_000;
  await next(at.ipam, id);
  assert.deepEqual(
    (await at.store.list('ipam/addresses/')).map(({ key }) => key.slice(15)),
    ['10.210.0.3', '10.210.0.4', '10.210.0.5'],
  );
  await at.restart();
  assert.equal(await next(at.ipam, id), '10.210.0.2/32');
});

test('an address that is taken again keeps its record while others clear the rests', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam);
  await next(at.ipam, id);
  await at.ipam.releaseAddress(id, '10.210.0.2');
  at.clock.time += 30_000;
  const again = exact(at.ipam, id, '10.210.0.2');
  for (let turn = 0; turn < 5; turn++) await Promise.resolve(); // its write is under way, not done
  await Promise.all([again, next(at.ipam, id), next(at.ipam, id)]);
  await at.restart();
  assert.equal(at.ipam.addresses().length, 3);
});

test('releases are harmless when they are repeated, foreign or unknown', async () => {
  await using at = await bench();
  const [one, two] = [await pool(at.ipam), await pool(at.ipam, '10.77.0.0/24')];
  await next(at.ipam, one.id);
  await gateway(at.ipam, two.id);
  const held = at.ipam.addresses();
  await at.ipam.releaseAddress(two.id, '10.210.0.2');
  await at.ipam.releaseAddress('no/such/pool', '10.210.0.2');
  await at.ipam.releaseAddress(one.id, '192.0.2.1');
  await at.ipam.releaseAddress(one.id, 'fd00::1');
  await at.ipam.releasePool('no/such/pool');
  assert.deepEqual(at.ipam.addresses(), held);
  await Promise.all([
    at.ipam.releaseAddress(one.id, '10.210.0.2'),
    at.ipam.releaseAddress(one.id, '10.210.0.2'),
  ]);
  await at.ipam.releasePool(two.id);
  await at.ipam.releasePool(two.id);
  assert.deepEqual(at.ipam.addresses(), []);
  assert.deepEqual((await at.store.list('ipam/pools/')).length, 0);
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

test('everything is there after a restart', async () => {
  await using at = await bench();
  const flat = await pool(at.ipam);
  const own = await pool(at.ipam, '10.77.0.0/24', '10.77.0.64/26');
  await gateway(at.ipam, own.id);
  await next(at.ipam, own.id);
  await next(at.ipam, flat.id);
  const [list, held] = [at.ipam.list(), at.ipam.addresses()];
  await at.restart();
  assert.deepEqual(at.ipam.list(), list);
  const byAddress = (a: { address: string }, b: { address: string }): number =>
    a.address < b.address ? -1 : 1;
  assert.deepEqual(at.ipam.addresses().toSorted(byAddress), held.toSorted(byAddress));
  assert.equal(await next(at.ipam, own.id), '10.77.0.65/32');
});

test('after a change of the node prefix old addresses are nobody else’s and can be released', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam);
  await next(at.ipam, id);
  await at.restart({ clusterCidr: '10.99.0.0/16', nodePrefix: '10.99.3.0/24' });
  await assert.rejects(next(at.ipam, id), refused('POOL_UNKNOWN', /not known/));
  await assert.rejects(
    pool(at.ipam, '10.210.0.0/24'),
    refused('POOL_OVERLAP', /10\.210\.0\.2\/32, which a container/),
  );
  assert.equal(await next(at.ipam, (await pool(at.ipam)).id), '10.99.3.2/32');
  await at.ipam.releaseAddress(id, '10.210.0.2');
  assert.equal((await pool(at.ipam, '10.210.0.0/24')).cidr, '10.210.0.0/24');
});

test('prefixes that do not fit are refused at the start', async () => {
  await assert.rejects(
    bench({ nodePrefix: '10.211.0.0/24' }),
    refused('NODE_PREFIX_INVALID', /not inside the cluster CIDR/),
  );
  await using at = await bench();
  await pool(at.ipam, '10.77.0.0/24');
  await assert.rejects(
    at.restart({ clusterCidr: '10.77.0.0/16', nodePrefix: '10.77.0.0/24' }),
    refused('POOL_OVERLAP', /a prefix of this node$/),
  );
  await at.restart();
});

test('what Docker no longer knows is released, what is new is not', async () => {
  await using at = await bench();
  const flat = await pool(at.ipam);
  const [kept, gone] = [await pool(at.ipam, '10.77.0.0/24'), await pool(at.ipam, '10.78.0.0/24')];
  await gateway(at.ipam, kept.id);
  await gateway(at.ipam, gone.id);
  for (const { id } of [flat, flat, flat, kept, gone]) await next(at.ipam, id);
  await at.restart();
  await at.ipam.releaseAddress(flat.id, '10.210.0.4');
  await exact(at.ipam, flat.id, '10.210.0.4');
  const young = await pool(at.ipam, '10.79.0.0/24');
  await next(at.ipam, flat.id);
  const freed = await at.ipam.reconcile({ subnets: ['10.77.0.0/24'], addresses: ['10.210.0.3'] });
  assert.deepEqual(freed, { addresses: ['10.210.0.2', '10.77.0.2'], subnets: ['10.78.0.0/24'] });
  assert.deepEqual(
    at.ipam
      .addresses()
      .map(({ address }) => address)
      .toSorted(),
    ['10.210.0.3', '10.210.0.4', '10.210.0.5', '10.77.0.1'],
  );
  assert.ok(at.ipam.list().some(({ id }) => id === young.id));
  assert.deepEqual(await at.ipam.reconcile({ subnets: [], addresses: [] }), { addresses: [], subnets: [] });
});

test('a write that fails changes nothing', async () => {
  await using at = await bench();
  const flat = await pool(at.ipam);
  const own = await pool(at.ipam, '10.77.0.0/24');
  await gateway(at.ipam, own.id);
  await next(at.ipam, flat.id);
  const before = [at.ipam.list(), at.ipam.addresses()];
  const { apply } = at.store;
  at.store.apply = (_operations: Operation[]): Promise<void> => Promise.reject(new Error('disk full'));
  const calls = [
    next(at.ipam, flat.id),
    exact(at.ipam, flat.id, '10.210.0.77'),
    pool(at.ipam, '10.78.0.0/24'),
    at.ipam.releaseAddress(flat.id, '10.210.0.2'),
    at.ipam.releasePool(own.id),
  ];
  for (const result of await Promise.allSettled(calls)) assert.equal(result.status, 'rejected');
  at.store.apply = apply;
  assert.deepEqual([at.ipam.list(), at.ipam.addresses()], before);
  await at.ipam.releasePool(own.id);
  assert.equal(at.ipam.list().length, 1);
  assert.equal((await pool(at.ipam, '10.78.0.0/24')).cidr, '10.78.0.0/24');
});

test('65,534 addresses of one pool are given without slowing down', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.64.0.0/16');
  const fill = async (amount: number): Promise<number> => {
    const start = performance.now();
    for (let n = 0; n < amount; n += 256)
      await Promise.all(Array.from({ length: Math.min(256, amount - n) }, () => next(at.ipam, id)));
    return performance.now() - start;
  };
  await fill(4096);
  const early = await fill(16_384);
  await fill(65_534 - 4096 - 2 * 16_384);
  const late = await fill(16_384);
  assert.equal(new Set(at.ipam.addresses().map(({ address }) => address)).size, 65_534);
  assert.ok(
    late < 4 * early,
    `the last quarter took ${late.toFixed(0)} ms, an early one ${early.toFixed(0)} ms`,
  );
  await assert.rejects(next(at.ipam, id), refused('POOL_EXHAUSTED', /all of its 65534 addresses/));
  await at.restart();
  assert.equal(at.ipam.addresses().length, 65_534);
  await at.ipam.releaseAddress(id, '10.64.200.7');
  assert.equal(await next(at.ipam, id), '10.64.200.7/32');
  await at.ipam.releasePool(id);
  assert.deepEqual(await at.store.list('ipam/'), []);
});
