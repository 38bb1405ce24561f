/** Paired rounds: every contender once per round, in an order that turns, after one round that does not count. */
import { median, ratios, spread } from './spread.ts';
import { quiet } from './quiet.ts';
import type { Bar, RatioRow } from './report.ts';

/** Measures once; the result is positive. */
export type Measure = () => Promise<number>;

export async function paired<Name extends string>(
  rounds: number,
  contenders: Record<Name, Measure>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contenders) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + 1 + turn) % names.length] as Name;
      await quiet();
      const value = await contenders[name]();
      if (round >= 0) results[name].push(value);
    }
  }
  return results;
}

export interface Comparison {
  what: string;
  unit: string;
  /** Default: not one of those to be met. */
  bar?: Bar;
}

/** The row that sets `values` against `base`, and `again`, the same as the base measured a second time, beside it. */
export function compare(
  { what, unit, bar }: Comparison,
  values: number[],
  { base, again }: { base: number[]; again: number[] },
): RatioRow {
  return {
    what,
    unit,
    base: median(base),
    value: median(values),
    ratio: spread(ratios(values, base)),
    again: spread(ratios(again, base)),
    rounds: values.length,
    ...(bar === undefined ? {} : { bar }),
  };
}
