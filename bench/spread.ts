/** What several rounds of one measurement say together. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

export function spread(values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
  return { min: sorted[0] ?? NaN, median, max: sorted.at(-1) ?? NaN };
}

export function median(values: number[]): number {
  return spread(values).median;
}

/** Round by round, so that what slows down a whole round does not count. */
export function ratios(values: number[], base: number[]): number[] {
  return values.map((value, round) => value / (base[round] ?? NaN));
}
