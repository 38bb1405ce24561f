/** Columns for people: as wide as their content, three spaces apart. */
import { printable } from './io.ts';

/** A list stands one item below the other, in the lines after the row's first. */
export type Cell = string | number | readonly string[];

const GAP = '   ';

function linesOf(cell: Cell): string[] {
  const items = Array.isArray(cell) ? (cell as readonly string[]) : [String(cell)];
  return items.map(printable);
}

/** `headers` may have several lines too. Lines end with their last visible character. */
export function table(headers: readonly Cell[] | undefined, rows: readonly (readonly Cell[])[]): string {
  const all = [...(headers === undefined ? [] : [headers]), ...rows].map((row) => row.map(linesOf));
  const widths: number[] = [];
  for (const row of all) {
    for (const [i, lines] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, ...lines.map((line) => line.length));
  }
  const lines = all.flatMap((row) =>
    Array.from({ length: Math.max(1, ...row.map((cell) => cell.length)) }, (_, i) =>
      row
        .map((cell, column) => (cell[i] ?? '').padEnd(widths[column] ?? 0))
        .join(GAP)
        .trimEnd(),
    ),
  );
  return lines.map((line) => `${line}\n`).join('');
}

/** "Name:   value" lines. */
export function facts(pairs: readonly (readonly [string, Cell])[]): string {
  return table(
    undefined,
    pairs.map(([name, value]) => [`${name}:`, value]),
  );
}

/** "10.0.0.1:80", "[fd00::1]:80" */
export function end(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
