import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseCidr } from '../base/index.ts';
import type { UserError } from '../base/index.ts';
import type { Ipam, PoolStatus } from './ipam.ts';
import { bench, exact, next, pool, refused } from './bench.test-support.ts';
import { looksOf, takeAllAlike } from './looks.test-support.ts';

const SMALL = { clusterCidr: '10.210.0.0/27', nodePrefix: '10.210.0.0/29' };
const many = async (ipam: Ipam, poolId: string, amount: number): Promise<string[]> => {
  const given = [];
  for (let n = 0; n < amount; n++) given.push((await next(ipam, poolId)).replace('/32', ''));
  return given;
};
const prefixes = (ipam: Ipam): string[] => ipam.list().map(({ cidr }) => cidr);

test('a full node prefix claims another, before an address of it is given', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 5);
  assert.deepEqual(prefixes(at.ipam), ['10.210.0.0/29']);
  const { apply } = at.store;
  at.store.apply = async (operations) => {
    assert.ok(await at.store.get('ipam/prefixes/10.210.0.8/29'), 'given before it was claimed');
    return apply.call(at.store, operations);
  };
  assert.deepEqual(await many(at.ipam, id, 7), [
    ...[9, 10, 11, 12, 13, 14].map((host) => `10.210.0.${host}`),
    '10.210.0.17',
  ]);
});

test('all prefixes are listed, with what each has to give', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 6);
  await at.ipam.releaseAddress(id, '10.210.0.4');
  const row = { subnet: '10.210.0.0/29', gateway: '10.210.0.1', isFull: false };
  assert.deepEqual(at.ipam.list(), [
    {
      ...row,
      id: '10.210.0.0/29',
      cidr: '10.210.0.0/29',
      range: '10.210.0.0/29',
      capacity: 5,
      allocated: 4,
      resting: 1,
    },
    {
      ...row,
      id: '10.210.0.8/29',
      cidr: '10.210.0.8/29',
      range: '10.210.0.8/29',
      capacity: 6,
      allocated: 1,
      resting: 0,
    },
  ]);
});

test('nothing is claimed while an address rests, and then the longest rested of all prefixes is taken', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 11);
  for (const address of ['10.210.0.12', '10.210.0.3', '10.210.0.9']) {
    at.clock.time += 1000;
    await at.ipam.releaseAddress(id, address);
  }
  assert.deepEqual(await many(at.ipam, id, 3), ['10.210.0.12', '10.210.0.3', '10.210.0.9']);
  assert.deepEqual(prefixes(at.ipam), ['10.210.0.0/29', '10.210.0.8/29']);
  await next(at.ipam, id);
  assert.deepEqual(prefixes(at.ipam), ['10.210.0.0/29', '10.210.0.8/29', '10.210.0.16/29']);
});

test('what is free in a further prefix spares the addresses that rest', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 6);
  await at.ipam.releaseAddress(id, '10.210.0.2');
  assert.equal(await next(at.ipam, id), '10.210.0.10/32');
});

test('prefixes that the host routes are passed over, and taken when the route is gone', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  at.routes.push(
    parseCidr('0.0.0.0/0'),
    parseCidr('fd00::/8'),
    parseCidr('10.210.0.10/32'),
    parseCidr('10.210.0.24/30'),
  );
  await many(at.ipam, id, 11);
  assert.deepEqual(prefixes(at.ipam), ['10.210.0.0/29', '10.210.0.16/29']);
  await assert.rejects(next(at.ipam, id), refused('POOL_EXHAUSTED', /^all 11 addresses of this host/));
  at.routes.length = 0;
  const further = await many(at.ipam, id, 12);
  assert.deepEqual(
    [further[0], further[6]],
    ['10.210.0.25', '10.210.0.9'],
    'upwards first, then what was left out',
  );
});

test('a network’s own subnet inside a cluster CIDR of later is passed over', async () => {
  await using at = await bench({ clusterCidr: '10.99.0.0/16', nodePrefix: '10.99.0.0/29' });
  await next(at.ipam, (await pool(at.ipam, '10.210.0.8/30')).id);
  await at.restart(SMALL);
  const { id } = await pool(at.ipam);
  assert.equal((await many(at.ipam, id, 6)).at(-1), '10.210.0.17');
});

test('addresses of an earlier configuration are passed over, and its claims given up', async () => {
  await using at = await bench(SMALL);
  const old = await pool(at.ipam);
  await many(at.ipam, old.id, 12);
  await at.restart({ nodePrefix: '10.210.0.0/30' });
  assert.deepEqual(await at.store.list('ipam/prefixes/'), []);
  for (const address of ['10.210.0.2', '10.210.0.9', '10.210.0.10', '10.210.0.17'])
    await at.ipam.releaseAddress(old.id, address);
  at.clock.time += 30_000;
  const { id } = await pool(at.ipam);
  // .4/30 and .12/30 are still somebody's, .8/30 has one left
  assert.deepEqual(await many(at.ipam, id, 3), ['10.210.0.2', '10.210.0.17', '10.210.0.18']);
});

test('further prefixes are there after a restart, and no network’s subnet can be made over one', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  const given = await many(at.ipam, id, 12);
  const before = at.ipam.list();
  await at.restart();
  assert.deepEqual(at.ipam.list(), before);
  assert.deepEqual(
    at.ipam
      .addresses()
      .map(({ address }) => address)
      .toSorted(),
    given.toSorted(),
  );
  assert.equal(await next(at.ipam, id), '10.210.0.18/32');
  await at.ipam.releaseAddress(id, '10.210.0.9');
  await at.ipam.releasePool(id);
  assert.deepEqual(at.ipam.addresses(), []);
  assert.equal(at.ipam.list().length, 3, 'what is claimed stays');
  await assert.rejects(pool(at.ipam, '10.210.0.8/29'), refused('POOL_OVERLAP', /cluster's own/));
  const late = { ...SMALL, clusterCidr: '10.99.0.0/27', nodePrefix: '10.99.0.0/29' };
  await at.restart(late);
  assert.deepEqual(prefixes(at.ipam), ['10.99.0.0/29']);
});

test('the end of the cluster CIDR is one clear line', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  const isFull = (): boolean[] => at.ipam.list().map((row) => row.isFull);
  await many(at.ipam, id, 5);
  assert.deepEqual(isFull(), [false], 'there is more to claim');
  await many(at.ipam, id, 3 * 6);
  assert.deepEqual(isFull(), [true, true, true, true]);
  await assert.rejects(next(at.ipam, id), (error: unknown) => {
    refused(
      'POOL_EXHAUSTED',
      /^all 23 addresses of this host are in use, and cluster CIDR 10\.210\.0\.0\/27 has no free \/29 for more$/,
    )(error);
    assert.match((error as UserError).hint!, /--subnet.*--cluster-cidr/);
    return true;
  });
  await at.ipam.releaseAddress(id, '10.210.0.20');
  assert.deepEqual(isFull(), [false, false, false, false]);
  assert.equal(await next(at.ipam, id), '10.210.0.20/32');
});

test('an address of a further prefix may be asked for by name; one of a prefix that is not this host’s may not', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 6);
  assert.equal(await exact(at.ipam, id, '10.210.0.12'), '10.210.0.12/32');
  await assert.rejects(exact(at.ipam, id, '10.210.0.15'), refused('ADDRESS_RESERVED', /broadcast/));
  await assert.rejects(exact(at.ipam, id, '10.210.0.17'), refused('ADDRESS_OUTSIDE', /10\.210\.0\.17/));
});

test('a network with the node prefix as its --subnet or with an --ip-range, and swarm, stay inside it', async () => {
  await using at = await bench(SMALL);
  const flat = await pool(at.ipam);
  await many(at.ipam, flat.id, 5);
  const whole = await pool(at.ipam, '10.210.0.0/29');
  const part = await pool(at.ipam, '10.210.0.0/29', '10.210.0.4/30');
  const globally = await pool(at.ipam, '', '', 'global');
  const full = /^pool 10\.210\.0\.0\/29 is full: all of its 5 addresses/;
  await assert.rejects(next(at.ipam, whole.id), (error: unknown) => {
    refused('POOL_EXHAUSTED', full)(error);
    assert.match((error as UserError).hint!, /without --subnet/);
    return true;
  });
  await assert.rejects(exact(at.ipam, whole.id, '10.210.0.9'), refused('ADDRESS_OUTSIDE', /10\.210\.0\.9/));
  await assert.rejects(next(at.ipam, part.id), refused('POOL_EXHAUSTED', /^IP range 10\.210\.0\.4\/30/));
  await assert.rejects(next(at.ipam, globally.id), refused('POOL_EXHAUSTED', full));
  assert.equal(at.ipam.list().length, 1);
  assert.equal(await next(at.ipam, flat.id), '10.210.0.9/32');
});

test('many at once claim no more than they need', async () => {
  await using at = await bench({ nodePrefix: '10.210.0.0/29' });
  const { id } = await pool(at.ipam);
  const given = await Promise.all(Array.from({ length: 5 + 6 * 4 }, () => next(at.ipam, id)));
  assert.equal(new Set(given).size, 29);
  assert.equal(at.ipam.list().length, 5);
});

test('a claim that cannot be written leaves everything as it was', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 5);
  const before = at.ipam.list();
  const { create } = at.store;
  at.store.create = (): Promise<boolean> => Promise.reject(new Error('disk full'));
  const refusals = await Promise.allSettled([next(at.ipam, id), next(at.ipam, id)]);
  assert.deepEqual(
    refusals.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(at.ipam.list(), before);
  at.store.create = create;
  assert.equal(await next(at.ipam, id), '10.210.0.9/32');
});

test('a prefix that another has claimed is passed over', async () => {
  await using at = await bench(SMALL);
  const { id } = await pool(at.ipam);
  await many(at.ipam, id, 5);
  await at.store.create('ipam/prefixes/10.210.0.8/29', {});
  assert.equal(await next(at.ipam, id), '10.210.0.17/32');
});

test('65,534 addresses of a flat pool over a thousand prefixes are given, the last with no more looking than the first', async () => {
  await using at = await bench({ clusterCidr: '10.128.0.0/15', nodePrefix: '10.128.0.0/26' });
  const { id } = await pool(at.ipam);
  await takeAllAlike(at, id);
  let list: PoolStatus[] = [];
  const listed = await looksOf(() => void (list = at.ipam.list()));
  assert.ok(listed < 4 * 65_534, `the list took ${listed} looks`);
  assert.equal(list.length, 1058);
  assert.equal(
    list.reduce((sum, { allocated }) => sum + allocated, 0),
    65_534,
  );
  await at.restart();
  assert.equal(at.ipam.list().length, 1058);
  assert.equal(await next(at.ipam, id), '10.129.8.66/32');
});
