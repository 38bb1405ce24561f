/**
 * Entries of a map of another layout, field by field: what both layouts call by one name, and spell alike, is carried
 * over, the rest is zero. So a field whose meaning changes must get another name in C.
 */
import type { BpfMap, MapLayout } from '../kernel/index.ts';
import { KernelError, mapLayout } from '../kernel/index.ts';

type Fields = MapLayout['key'];

interface Part {
  from: number;
  to: number;
  size: number;
}

const BATCH = 4096;
const FILLER = /(^|\.)unused/;
/** By this name and in this form flows say when they end. */
const END = { path: 'expires', type: '__u32' } as const;

/** What was filler has always been zero, so a field in its place begins with a value that is right for all entries. */
function isFilled(fields: Fields, offset: number, size: number): boolean {
  const fillers = fields.filter(({ path }) => FILLER.test(path));
  return fillers.some((filler) => filler.offset <= offset && offset + size <= filler.offset + filler.size);
}

interface Plan {
  parts: Part[];
  /** Whether every field has its source. */
  isWhole: boolean;
}

function planOf(from: Fields, to: Fields): Plan {
  const known = new Map(from.map((field) => [`${field.type} ${field.path}`, field]));
  const parts: Part[] = [];
  let isWhole = true;
  for (const { type, path, offset, size } of to) {
    const source = known.get(`${type} ${path}`);
    if (source !== undefined) parts.push({ from: source.offset, to: offset, size });
    else if (!FILLER.test(path) && !isFilled(from, offset, size)) isWhole = false;
  }
  return { parts, isWhole };
}

/** Where an entry of the layout says when it ends. */
function endOf(fields: Fields): number | undefined {
  return fields.find(({ path, type }) => path === END.path && type === END.type)?.offset;
}

function apply({ parts }: Plan, from: Buffer, to: Buffer): void {
  for (const part of parts) from.copy(to, part.to, part.from, part.from + part.size);
}

/** How entries of one map become entries of another. */
export class Conversion {
  readonly #key: Plan;
  readonly #value: Plan;
  /** Undefined where not both layouts have it. */
  readonly #end: number | undefined;
  readonly #from: BpfMap;
  readonly #to: BpfMap;

  private constructor(from: BpfMap, to: BpfMap, layouts: [MapLayout, MapLayout]) {
    const [one, other] = layouts;
    this.#from = from;
    this.#to = to;
    this.#key = planOf(one.key, other.key);
    this.#value = planOf(one.value, other.value);
    this.#end = endOf(one.value) === undefined ? undefined : endOf(other.value);
  }

  /**
   * Undefined where entries say nothing to the other layout: a key has a field that the old one lacks, or one of the maps
   * has no description.
   */
  static between(from: BpfMap, to: BpfMap): Conversion | undefined {
    const [one, other] = [mapLayout(from.fd), mapLayout(to.fd)];
    if (one === undefined || other === undefined || from.type !== to.type) return undefined;
    const conversion = new Conversion(from, to, [one, other]);
    return conversion.#key.isWhole ? conversion : undefined;
  }

  /**
   * Copies all entries; `onlyNew` leaves alone those that are there already, unless they would end sooner: then it is the
   * old map that their flow goes by. Returns how many there were.
   */
  run(options: { onlyNew: boolean }): number {
    let keys: Buffer[] = [];
    let values: Buffer[] = [];
    let count = 0;
    const flush = (): void => {
      this.#write(keys, values, options.onlyNew);
      count += keys.length;
      [keys, values] = [[], []];
    };
    for (const entry of this.#from.entries()) {
      const key = Buffer.alloc(this.#to.keySize);
      apply(this.#key, entry.key, key);
      keys.push(key);
      values.push(this.#valueOf(entry.value));
      if (keys.length === BATCH) flush();
    }
    flush();
    return count;
  }

  /** Per-CPU values are one after the other. */
  #valueOf(bytes: Buffer): Buffer {
    const value = Buffer.alloc(this.#to.valueSpan);
    const [from, to] = [strideOf(this.#from), strideOf(this.#to)];
    for (let copy = 0; (copy + 1) * to <= Math.max(to, value.length); copy++)
      apply(this.#value, bytes.subarray(copy * from), value.subarray(copy * to));
    return value;
  }

  #write(keys: Buffer[], values: Buffer[], onlyNew: boolean): void {
    if (!onlyNew) this.#to.updateBatch(Buffer.concat(keys), Buffer.concat(values), keys.length);
    else keys.forEach((key, index) => this.#add(key, values[index] ?? Buffer.alloc(0)));
  }

  /** The programs may be writing to the map by now, and know better. */
  #add(key: Buffer, value: Buffer): void {
    const present = this.#to.lookup(key);
    if (present !== undefined) {
      if (this.#outlives(value, present)) this.#to.update(key, value);
      return;
    }
    try {
      this.#to.update(key, value, 'noexist');
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === 'EEXIST')) throw error;
    }
  }

  #outlives(value: Buffer, present: Buffer): boolean {
    return this.#end !== undefined && value.readUInt32LE(this.#end) > present.readUInt32LE(this.#end);
  }
}

/** Bytes from the value of one CPU to that of the next. */
function strideOf({ valueSize, valueSpan }: BpfMap): number {
  return valueSpan === valueSize ? valueSize : Math.ceil(valueSize / 8) * 8;
}
