/** `-o jsonpath='{…}'` as kubectl writes it: text, {path}, {"text"}, {range path}…{end}. */
import { usage } from './command-error.ts';

type Query = (path: string, json: unknown) => unknown[];

type Part = { text: string } | { path: string } | { range: string; parts: Part[] };

/** Splits into literal text and what stands in braces; quotes inside braces may hold braces. */
function tokens(template: string): { text: string; inBraces: boolean }[] {
  const found: { text: string; inBraces: boolean }[] = [];
  const token = /\{((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^{}"'])*)\}|([^{}]+)|(.)/gsu;
  for (const [, inside, outside, stray] of template.matchAll(token)) {
    if (stray !== undefined) throw usage(`jsonpath "${template}": "${stray}" has no partner`);
    found.push(
      inside === undefined
        ? { text: outside ?? '', inBraces: false }
        : { text: inside.trim(), inBraces: true },
    );
  }
  return found;
}

/** kubectl's spelling to the library's: a root, no dot before a bracket, escaped dots in brackets. */
function normalize(path: string): string {
  const rest = path
    .replace(/^[$@]/, '')
    .replace(/^(?=[^.[])/, '.')
    .replace(/^\.(?=\[|$)/, '')
    .replace(
      /\.((?:[^.[\]\\]|\\.)*\\\.(?:[^.[\]\\]|\\.)*)/g,
      (_, name: string) => `['${name.replaceAll('\\', '')}']`,
    )
    .replaceAll('[-1]', '[-1:]');
  return `$${rest}`;
}

function literal(text: string): string {
  const body = text.slice(1, -1);
  return body.replace(
    /\\(.)/gsu,
    (_, escaped: string) => ({ n: '\n', t: '\t', r: '\r' })[escaped] ?? escaped,
  );
}

function parse(template: string): Part[] {
  const root: Part[] = [];
  const open: Part[][] = [root];
  for (const { text, inBraces } of tokens(template)) {
    const at = open.at(-1)!;
    if (!inBraces) at.push({ text });
    else if (/^["']/.test(text)) at.push({ text: literal(text) });
    else if (text === 'end') {
      open.pop();
      if (open.length === 0) throw usage(`jsonpath "${template}": {end} without {range}`);
    } else if (text.startsWith('range ')) {
      const parts: Part[] = [];
      at.push({ range: normalize(text.slice('range '.length).trim()), parts });
      open.push(parts);
    } else at.push({ path: normalize(text) });
  }
  if (open.length > 1) throw usage(`jsonpath "${template}": {range} without {end}`);
  return root;
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function evaluate(parts: Part[], json: unknown, query: Query): string {
  return parts
    .map((part) => {
      if ('text' in part) return part.text;
      if ('path' in part) return query(part.path, json).map(show).join(' ');
      return query(part.range, json)
        .map((item) => evaluate(part.parts, item, query))
        .join('');
    })
    .join('');
}

/** Reads the template at once, so that a mistake in it shows before anything is done. */
export function compileJsonPath(template: string): (json: unknown) => Promise<string> {
  const parts = parse(template.includes('{') ? template : `{${template}}`);
  return async (json) => {
    const { JSONPath } = await import('jsonpath-plus');
    const query: Query = (path, at) => {
      try {
        return (
          (JSONPath({ path, json: at as object, wrap: true, eval: 'safe' }) as unknown[] | undefined) ?? []
        );
      } catch (error) {
        throw usage(`jsonpath "${template}": ${(error as Error).message}`);
      }
    };
    return evaluate(parts, json, query);
  };
}
