/** Work that is counted, where a clock would measure the machine's other work as well. */

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
