import { test } from 'node:test';
import assert from 'node:assert/strict';
import { bench, next, pool, refused } from './bench.test-support.ts';
import { takeAllAlike } from './looks.test-support.ts';

test('65,534 addresses of one pool are given, the last of them with no more looking than the first', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.64.0.0/16');
  await takeAllAlike(at, id);
  await assert.rejects(next(at.ipam, id), refused('POOL_EXHAUSTED', /all of its 65534 addresses/));
  await at.restart();
  assert.equal(at.ipam.addresses().length, 65_534);
  await at.ipam.releaseAddress(id, '10.64.200.7');
  assert.equal(await next(at.ipam, id), '10.64.200.7/32');
  await at.ipam.releasePool(id);
  assert.deepEqual(await at.store.list('ipam/'), []);
});
