import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Operation } from '../kvstore/index.ts';
import { bench, exact, gateway, next, pool, refused } from './bench.test-support.ts';

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
