/** Results as tables that a terminal and Markdown both show well. */
import type { Spread } from './spread.ts';

/** What a median has to keep to. */
export type Bar = { atMost: number } | { atLeast: number };

/** Something measured on weir and on Docker's bridge. */
export interface RatioRow {
  what: string;
  unit: string;
  base: number;
  value: number;
  ratio: Spread;
  /** The base against itself: how far ratios stray without a cause. */
  again: Spread;
  rounds: number;
  bar?: Bar;
}

/** Something that has no counterpart on the bridge. */
export interface FigureRow {
  what: string;
  unit: string;
  value: Spread;
  rounds: number;
  bar?: Bar;
}

export interface Report {
  title: string;
  /** What the two columns of `ratios` are called. Default: bridge and weir. */
  sides?: [base: string, value: string];
  ratios?: RatioRow[];
  figures?: FigureRow[];
}

export function isMet(median: number, bar: Bar | undefined): boolean {
  if (bar === undefined) return true;
  return 'atMost' in bar ? median <= bar.atMost : median >= bar.atLeast;
}

export function missed({ ratios = [], figures = [] }: Report): string[] {
  const rows = [
    ...ratios.map(({ what, bar, ratio }) => ({ what, bar, median: ratio.median })),
    ...figures.map(({ what, bar, value }) => ({ what, bar, median: value.median })),
  ];
  return rows.filter(({ median, bar }) => !isMet(median, bar)).map(({ what }) => what);
}

export function formatReport(report: Report): string {
  const [base, value] = report.sides ?? ['bridge', 'weir'];
  const tables: string[][][] = [];
  if (report.ratios !== undefined) {
    const head = ['what', base, value, `${value} / ${base}`, `${base} / ${base}`, 'rounds', 'bar', 'met'];
    tables.push([head, ...report.ratios.map(ratioCells)]);
  }
  if (report.figures !== undefined) {
    tables.push([
      ['what', 'min', 'median', 'max', 'rounds', 'bar', 'met'],
      ...report.figures.map(figureCells),
    ]);
  }
  return `## ${report.title}\n\n${tables.map(formatTable).join('\n')}`;
}

function ratioCells({ what, unit, base, value, ratio, again, rounds, bar }: RatioRow): string[] {
  const measured = [base, value].map((number) => `${figure(number)} ${unit}`);
  const met = barCells(bar, isMet(ratio.median, bar), '×');
  return [what, ...measured, spreadText(ratio), spreadText(again), String(rounds), ...met];
}

function figureCells({ what, unit, value, rounds, bar }: FigureRow): string[] {
  const measured = [value.min, value.median, value.max].map((number) => `${figure(number)} ${unit}`);
  return [what, ...measured, String(rounds), ...barCells(bar, isMet(value.median, bar), ` ${unit}`)];
}

function barCells(bar: Bar | undefined, met: boolean, unit: string): [string, string] {
  if (bar === undefined) return ['', ''];
  const text = 'atMost' in bar ? `≤ ${bar.atMost}${unit}` : `≥ ${bar.atLeast}${unit}`;
  return [text, met ? 'yes' : 'NO'];
}

/** Minimum, median, maximum. */
function spreadText({ min, median, max }: Spread): string {
  return [min, median, max].map((ratio) => `${ratio.toFixed(3)}×`).join(' / ');
}

/** Three digits that count. */
function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(3);
}

function formatTable(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`;
  const [head = [], ...body] = rows;
  return [head, widths.map((width) => '-'.repeat(width)), ...body].map(line).join('');
}
