/** Ports that share their `bits` leading bits with `port`; the bits after are zero. `bits` 0 is every port. */
export interface PortPrefix {
  port: number;
  bits: number;
}

/** The fewest prefixes that cover the ports from `first` to `last`, both included, and no other. */
export function portPrefixes(first: number, last: number): PortPrefix[] {
  const prefixes: PortPrefix[] = [];
  for (let port = first; port <= last;) {
    // The largest block that starts here: bounded by the alignment of its start, and by the end of the range.
    let size = port === 0 ? 65_536 : port & -port;
    while (port + size - 1 > last) size /= 2;
    prefixes.push({ port, bits: 16 - Math.log2(size) });
    port += size;
  }
  return prefixes;
}

/** Whether every port of `inner` is in `outer`. */
export function prefixCovers(outer: PortPrefix, inner: PortPrefix): boolean {
  return outer.bits <= inner.bits && (outer.port ^ inner.port) >> (16 - outer.bits) === 0;
}
