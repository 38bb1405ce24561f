import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Ipam } from './ipam.ts';
import { bench, next, pool, refused } from './bench.test-support.ts';

type Methods = Record<string, (this: unknown, ...args: unknown[]) => unknown>;

/** Whatever looks into a Map or a Set, or walks through one. */
const LOOKS = [
  [Map.prototype, 'get'],
  [Map.prototype, 'has'],
  [Set.prototype, 'has'],
  [Object.getPrototypeOf(new Map().keys()), 'next'],
  [Object.getPrototypeOf(new Set().keys()), 'next'],
] as [Methods, string][];

/** How often that happens during `work`: an amount that does not depend on who else uses the machine. */
async function looksOf(work: () => Promise<void>): Promise<number> {
  let count = 0;
  const undo = LOOKS.map(([object, name]) => {
    const real = object[name]!;
    object[name] = function (...args) {
      count++;
      return real.apply(this, args);
    };
    return () => (object[name] = real);
  });
  try {
    await work();
  } finally {
    for (const each of undo) each();
  }
  return count;
}

async function take(ipam: Ipam, poolId: string, amount: number): Promise<void> {
  for (let n = 0; n < amount; n += 256)
    await Promise.all(Array.from({ length: Math.min(256, amount - n) }, () => next(ipam, poolId)));
}

test('65,534 addresses of one pool are given, the last of them with no more looking than the first', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.64.0.0/16');
  const early = await looksOf(() => take(at.ipam, id, 16_384));
  await take(at.ipam, id, 65_534 - 2 * 16_384);
  const late = await looksOf(() => take(at.ipam, id, 16_384));
  assert.equal(new Set(at.ipam.addresses().map(({ address }) => address)).size, 65_534);
  assert.ok(early > 16_384, 'every address is looked up');
  assert.ok(late < 1.5 * early, `the first quarter took ${early} looks, the last one ${late}`);
  await assert.rejects(next(at.ipam, id), refused('POOL_EXHAUSTED', /all of its 65534 addresses/));
  await at.restart();
  assert.equal(at.ipam.addresses().length, 65_534);
  await at.ipam.releaseAddress(id, '10.64.200.7');
  assert.equal(await next(at.ipam, id), '10.64.200.7/32');
  await at.ipam.releasePool(id);
  assert.deepEqual(await at.store.list('ipam/'), []);
});
