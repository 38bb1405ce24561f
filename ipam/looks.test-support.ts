/** Work that is counted, where a clock would measure the machine's other work as well. */
import assert from 'node:assert/strict';
import { type Bench, take } from './bench.test-support.ts';

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
export async function looksOf(work: () => Promise<void> | void): Promise<number> {
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

/** Gives all 65,534 addresses of the pool; those of the last quarter may cost no more looking than those of the first. */
export async function takeAllAlike({ ipam }: Pick<Bench, 'ipam'>, id: string): Promise<void> {
  const quarter = 16_384;
  const early = await looksOf(() => take(ipam, id, quarter));
  await take(ipam, id, 65_534 - 2 * quarter);
  const late = await looksOf(() => take(ipam, id, quarter));
  assert.equal(new Set(ipam.addresses().map(({ address }) => address)).size, 65_534);
  assert.ok(early > quarter, 'every address is looked up');
  assert.ok(late < 1.5 * early, `the first quarter took ${early} looks, the last one ${late}`);
}
