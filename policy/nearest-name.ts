/** Edits (insert, delete, replace) that turn `a` into `b`. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let at = 0; at < a.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < b.length; to++) {
      const replace = (row[to] ?? 0) + (b[to] === a[at] ? 0 : 1);
      next.push(Math.min(replace, (next[to] ?? 0) + 1, (row[to + 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The name that `text` was probably meant to be, or undefined when none is near. Upper and lower case are one. */
export function nearestName(text: string, names: Iterable<string>): string | undefined {
  if (text.length > 64) return undefined;
  let best: string | undefined;
  let least = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const name of names) {
    const edits = distance(text.toLowerCase(), name.toLowerCase());
    if (edits < Math.min(least, text.length)) [best, least] = [name, edits];
  }
  return best;
}

/** Advice after an unknown name: the probable one, or all there are. */
export function suggest(text: string, names: readonly string[]): string {
  const near = nearestName(text, names);
  return near === undefined ? `use one of ${names.join(', ')}` : `did you mean ${JSON.stringify(near)}?`;
}
