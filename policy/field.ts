import { UserError } from '../base/index.ts';
import { LineCounter, isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';

/** Where a text came from, to say where something is wrong in it. */
export class Source {
  readonly file: string;
  readonly lines = new LineCounter();

  constructor(file: string) {
    this.file = file;
  }

  /** One line, whatever is in the names. */
  error(offset: number, path: string, text: string): UserError {
    const { line, col } = this.lines.linePos(offset);
    const message = `${this.file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${path}: ${text}`;
    return new UserError('POLICY_INVALID', message.replace(/[\s\p{Cc}\u2028\u2029]+/gu, ' '));
  }
}

/** A text from the user inside a message: quoted, and cut where it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

type View =
  | { kind: 'object'; entries: [key: unknown, value: unknown][] }
  | { kind: 'list'; items: unknown[] }
  | { kind: 'scalar'; value: unknown; source: string }
  | { kind: 'alias' };

/** A node of a YAML tree or a value of JSON.parse, whichever it is. */
function view(node: unknown): View {
  if (isMap(node)) return { kind: 'object', entries: node.items.map((pair) => [pair.key, pair.value]) };
  if (isSeq(node)) return { kind: 'list', items: node.items };
  if (isScalar(node)) return { kind: 'scalar', value: node.value, source: node.source ?? String(node.value) };
  if (isAlias(node)) return { kind: 'alias' };
  if (Array.isArray(node)) return { kind: 'list', items: node };
  if (typeof node === 'object' && node !== null) return { kind: 'object', entries: Object.entries(node) };
  return { kind: 'scalar', value: node ?? null, source: String(node) };
}

export interface FieldPlace {
  source: Source;
  node: unknown;
  path: string;
  /** Where the nearest node around it starts in the text. */
  offset: number;
}

/** One value of the document with its path: it knows how to be read and how to complain. */
export class Field {
  readonly path: string;
  readonly #node: unknown;
  readonly #view: View;
  readonly #source: Source;
  readonly #offset: number;

  constructor({ source, node, path, offset }: FieldPlace) {
    this.#source = source;
    this.#node = node;
    this.#view = view(node);
    this.path = path;
    this.#offset = (node as { range?: number[] } | null | undefined)?.range?.[0] ?? offset;
  }

  /** Throws: what is wrong, and what would be right. */
  fail(what: string, right: string): never {
    throw this.#source.error(this.#offset, this.path, `${what}; ${right}`);
  }

  isObject(): boolean {
    return this.#view.kind === 'object';
  }

  isList(): boolean {
    return this.#view.kind === 'list';
  }

  /** The name under which other places of the document may refer to this one. */
  get anchor(): string | undefined {
    return isNode(this.#node) && !isAlias(this.#node) ? this.#node.anchor : undefined;
  }

  /** The name of the place this one refers to. */
  get alias(): string | undefined {
    return isAlias(this.#node) ? this.#node.source : undefined;
  }

  /** Keys in lower case; none if this is no object. */
  names(): string[] {
    if (this.#view.kind !== 'object') return [];
    return this.#view.entries.map(([keyNode]) => {
      const key = view(keyNode);
      return key.kind === 'scalar' ? key.source.toLowerCase() : '';
    });
  }

  list(): Field[] {
    if (this.#view.kind !== 'list') return this.#refuse('write a list, [...]');
    return this.#view.items.map((item, at) => this.#child(item, `[${at}]`));
  }

  /** Keys as written, in order, each once. */
  entries(): [key: string, value: Field][] {
    if (this.#view.kind !== 'object') return this.#refuse('write an object, {...}');
    const seen = new Set<string>();
    return this.#view.entries.map(([keyNode, valueNode]) => {
      const key = this.#keyOf(keyNode);
      const value = this.#child(valueNode ?? keyNode, step(key));
      if (valueNode === null) value.fail('is empty (null)', 'leave the key out, or give it a value');
      if (seen.has(key)) value.fail('is given twice', 'keep one of the two');
      seen.add(key);
      return [key, value];
    });
  }

  text(): string {
    const { value, source } = this.#scalar();
    return typeof value === 'string' ? value : this.#refuse(`write a text, ${quote(source)}`);
  }

  boolean(): boolean {
    const { value } = this.#scalar();
    return typeof value === 'boolean' ? value : this.#refuse('write true or false');
  }

  /** A number as its digits in the file (so that 0x50 and 0120 stay what they are), or a text. */
  numberOrText(): string {
    const { value, source } = this.#scalar();
    if (typeof value === 'string') return value;
    return typeof value === 'number' ? source : this.#refuse('write a number or a text');
  }

  #scalar(): { value: unknown; source: string } {
    return this.#view.kind === 'scalar' ? this.#view : this.#refuse('write a single value');
  }

  #refuse(right: string): never {
    const found = this.#view;
    if (found.kind === 'alias') return this.fail('is an alias', 'write the value out');
    if (found.kind === 'object') return this.fail('is an object', right);
    if (found.kind === 'list') return this.fail('is a list', right);
    if (found.value === null) return this.fail('is empty (null)', right);
    return this.fail(typeof found.value === 'string' ? 'is a text' : `is a ${typeof found.value}`, right);
  }

  #keyOf(node: unknown): string {
    const key = view(node);
    if (key.kind === 'scalar') return typeof key.value === 'string' ? key.value : key.source;
    return this.#child(node, '').fail('has a key that is no text', 'write the key as a text');
  }

  #child(node: unknown, suffix: string): Field {
    return new Field({ source: this.#source, node, path: this.path + suffix, offset: this.#offset });
  }
}

function step(key: string): string {
  return /^[A-Za-z_]\w{0,59}$/.test(key) ? `.${key}` : `[${quote(key)}]`;
}
