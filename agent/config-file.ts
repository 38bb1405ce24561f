/** /etc/weir/weir.yaml: one mapping, its keys the flags without dashes. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { UserError } from '../base/index.ts';

export interface FileValue {
  text: string;
  /** file:line, for messages. */
  place: string;
}

function fault(place: string, what: string, hint?: string): UserError {
  return new UserError('CONFIG_INVALID', `${place}: ${what}`, hint === undefined ? {} : { hint });
}

/** A scalar as it would be written after the flag, a list of scalars joined by commas. */
function textOf(node: unknown): string | undefined {
  if (isScalar(node) && ['string', 'number', 'boolean'].includes(typeof node.value))
    return String(node.value);
  if (!isSeq(node)) return undefined;
  const items = node.items.map(textOf);
  return items.includes(undefined) || node.items.some((item) => isSeq(item)) ? undefined : items.join(',');
}

/** Values by key. Throws CONFIG_INVALID with file and line for anything but known keys with plain values. */
export function parseConfigFile(
  text: string,
  file: string,
  known: ReadonlySet<string>,
): Map<string, FileValue> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined)
    throw fault(`${file}:${error.linePos?.[0].line ?? 1}`, error.message.split('\n', 1)[0]!);
  const values = new Map<string, FileValue>();
  if (document.contents === null) return values;
  if (!isMap(document.contents))
    throw fault(`${file}:1`, 'is not a mapping', 'write one "key: value" a line');
  for (const { key, value } of document.contents.items) {
    const place = `${file}:${lines.linePos(key.range[0]).line}`;
    const name = String(isScalar(key) ? key.value : key);
    if (!known.has(name))
      throw fault(place, `unknown key "${name}"`, 'keys are the flags of `weir agent --help` without dashes');
    const plain = textOf(value);
    if (plain === undefined) throw fault(place, `${name} must be a value or a list of values`);
    values.set(name, { text: plain, place });
  }
  return values;
}
