/** BTF, the description of types that travels with a BPF object: which fields the keys and values of a map have. */
import { BugError } from '../base/index.ts';

/** One field that holds no further fields. */
export interface Field {
  /** Names from the outermost struct inwards, "low.mac". */
  path: string;
  /** Its type as C spells it. */
  type: string;
  offset: number;
  size: number;
}

interface Type {
  kind: number;
  name: string;
  /** Bytes, or the number of another type. */
  sizeOrType: number;
  members: { name: string; type: number; bits: number }[];
  array?: { type: number; count: number };
}

const MAGIC = 0xeb9f;
const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  functionType: 13,
  variable: 14,
  section: 15,
  float: 16,
  tag: 17,
  enum64: 19,
} as const;
/** Those that only say something about another type. */
const WRAPPERS: readonly number[] = [8, 9, 10, 11, 18]; // typedef, volatile, const, restrict, type tag
const TYPEDEF = 8;
const POINTER_SIZE = 8;

/** Bytes behind the head of a type. */
function extraBytes(kind: number, count: number): number {
  switch (kind) {
    case KIND.int:
    case KIND.variable:
    case KIND.tag:
      return 4;
    case KIND.array:
      return 12;
    case KIND.struct:
    case KIND.union:
    case KIND.section:
    case KIND.enum64:
      return count * 12;
    case KIND.enum:
    case KIND.functionType:
      return count * 8;
    default:
      return 0;
  }
}

export class Btf {
  readonly #types: Type[] = [];

  constructor(bytes: Buffer) {
    if (bytes.readUInt16LE(0) !== MAGIC) throw new BugError('these bytes are no BTF');
    const head = bytes.readUInt32LE(4);
    const section = (at: number): Buffer => {
      const start = head + bytes.readUInt32LE(at);
      return bytes.subarray(start, start + bytes.readUInt32LE(at + 4));
    };
    const strings = section(16);
    const text = (offset: number): string => strings.toString('latin1', offset, strings.indexOf(0, offset));
    const types = section(8);
    for (let at = 0; at < types.length;) at += this.#read(types, at, text);
  }

  /** The fields of a type, in their order; one that is no struct is a field with an empty path. */
  fields(type: number): Field[] {
    return [...this.#walk(type, '', 0)];
  }

  #read(types: Buffer, at: number, text: (offset: number) => string): number {
    const info = types.readUInt32LE(at + 4);
    const [kind, count, hasBitfields] = [(info >> 24) & 0x1f, info & 0xffff, info >>> 31 === 1];
    const word = (index: number): number => types.readUInt32LE(at + 12 + index * 4);
    const type: Type = {
      kind,
      name: text(types.readUInt32LE(at)),
      sizeOrType: types.readUInt32LE(at + 8),
      members: [],
    };
    if (kind === KIND.array) type.array = { type: word(0), count: word(2) };
    if (kind === KIND.struct || kind === KIND.union)
      for (let i = 0; i < count; i++) {
        const bits = word(i * 3 + 2);
        type.members.push({
          name: text(word(i * 3)),
          type: word(i * 3 + 1),
          bits: hasBitfields ? bits & 0xffffff : bits,
        });
      }
    this.#types.push(type);
    return 12 + extraBytes(kind, count);
  }

  /** Types are counted from 1; 0 is void. */
  #type(id: number): Type {
    const type = this.#types[id - 1];
    if (type === undefined) throw new BugError(`BTF has no type ${id}`);
    return type;
  }

  *#walk(id: number, path: string, offset: number): Generator<Field> {
    const bare = this.#bare(id);
    if (bare.kind !== KIND.struct) {
      yield { path, type: this.#spell(id), offset, size: this.#size(id) };
      return;
    }
    for (const { name, type, bits } of bare.members)
      yield* this.#walk(type, [path, name].filter(Boolean).join('.'), offset + bits / 8);
  }

  #bare(id: number): Type {
    let type = this.#type(id);
    while (WRAPPERS.includes(type.kind)) type = this.#type(type.sizeOrType);
    return type;
  }

  #size(id: number): number {
    const { kind, sizeOrType, array } = this.#bare(id);
    if (array !== undefined) return array.count * this.#size(array.type);
    return kind === KIND.pointer ? POINTER_SIZE : sizeOrType;
  }

  /** The first name on the way to the bare type, because `__be16` says more than `unsigned short`. */
  #spell(id: number): string {
    const type = this.#type(id);
    if (type.array !== undefined) return `${this.#spell(type.array.type)}[${type.array.count}]`;
    if (type.kind === TYPEDEF) return type.name;
    if (WRAPPERS.includes(type.kind)) return this.#spell(type.sizeOrType);
    if (type.kind !== KIND.struct && type.kind !== KIND.union) return type.name;
    return `{${type.members.map((member) => `${this.#spell(member.type)} ${member.name}`).join('; ')}}`;
  }
}
