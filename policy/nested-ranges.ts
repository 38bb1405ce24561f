import { type Cidr, addressBytes } from '../base/index.ts';

interface Range {
  cidr: Cidr;
  first: bigint;
  last: bigint;
}

/** For each range the ranges of the list that lie within it, itself included. Families never lie within each other. */
export function nestedRanges(cidrs: readonly Cidr[]): Map<string, string[]> {
  const within = new Map<string, string[]>();
  // In this order a range comes right after all ranges around it, and they are a stack.
  const around: Range[] = [];
  for (const range of cidrs.map(boundsOf).toSorted(byPlace)) {
    while (around.length > 0 && !isWithin(range, around.at(-1))) around.pop();
    around.push(range);
    within.set(range.cidr.text, []);
    for (const outer of around) within.get(outer.cidr.text)?.push(range.cidr.text);
  }
  return within;
}

function boundsOf(cidr: Cidr): Range {
  const first = BigInt(`0x${addressBytes(cidr.address).toString('hex')}`);
  const bits = (cidr.family === 4 ? 32 : 128) - cidr.length;
  return { cidr, first, last: first + (1n << BigInt(bits)) - 1n };
}

function byPlace(a: Range, b: Range): number {
  if (a.cidr.family !== b.cidr.family) return a.cidr.family - b.cidr.family;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.cidr.length - b.cidr.length;
}

function isWithin(inner: Range, outer: Range | undefined): boolean {
  return outer !== undefined && outer.cidr.family === inner.cidr.family && inner.last <= outer.last;
}
