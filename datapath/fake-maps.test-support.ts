/** The datapath's maps without a kernel: the real codecs over maps in memory, with a record of every write. */
import { openMaps } from '../bpf/index.ts';
import type { Maps } from '../bpf/index.ts';
import type { BpfMap, BpfObject } from '../kernel/index.ts';

type Face = Pick<
  BpfMap,
  'maxEntries' | 'lookup' | 'update' | 'delete' | 'updateBatch' | 'deleteBatch' | 'entries' | 'keys'
>;

interface Item {
  key: Buffer;
  value: Buffer;
}

/** A map of bytes; refuses what would go beyond `maxEntries`, in the midst of a batch too. */
export class FakeMap implements Face {
  maxEntries = 65_536;
  /** Called before each write with what it is. */
  onWrite: (what: 'set' | 'delete', count: number) => void = () => {};
  /** Called after each entry that was written or deleted, as another CPU might look at the map just then. */
  onStep: () => void = () => {};
  readonly #items = new Map<string, Item>();

  get size(): number {
    return this.#items.size;
  }

  lookup(key: Buffer): Buffer | undefined {
    return this.#items.get(key.toString('hex'))?.value;
  }

  update(key: Buffer, value: Buffer): void {
    this.onWrite('set', 1);
    this.#put(key, value);
  }

  delete(key: Buffer): boolean {
    this.onWrite('delete', 1);
    return this.#remove(key);
  }

  updateBatch(keys: Buffer, values: Buffer, count: number): void {
    if (count > 0) this.onWrite('set', count);
    for (let at = 0; at < count; at++) this.#put(part(keys, at, count), part(values, at, count));
  }

  deleteBatch(keys: Buffer, count: number): void {
    if (count > 0) this.onWrite('delete', count);
    for (let at = 0; at < count; at++) this.#remove(part(keys, at, count));
  }

  *entries(): Generator<Item> {
    yield* [...this.#items.values()];
  }

  *keys(): Generator<Buffer> {
    for (const { key } of this.entries()) yield key;
  }

  #put(key: Buffer, value: Buffer): void {
    const name = key.toString('hex');
    if (!this.#items.has(name) && this.#items.size >= this.maxEntries) throw new Error('map is full');
    this.#items.set(name, { key: Buffer.from(key), value: Buffer.from(value) });
    this.onStep();
  }

  #remove(key: Buffer): boolean {
    const wasThere = this.#items.delete(key.toString('hex'));
    this.onStep();
    return wasThere;
  }
}

function part(bytes: Buffer, at: number, count: number): Buffer {
  const size = bytes.length / count;
  return bytes.subarray(at * size, (at + 1) * size);
}

export interface FakeMaps {
  maps: Maps;
  /** By the name in C, as in "weir_policy". */
  raw(name: string): FakeMap;
}

export function fakeMaps(): FakeMaps {
  const all = new Map<string, FakeMap>();
  const raw = (name: string): FakeMap => {
    let map = all.get(name);
    if (map === undefined) all.set(name, (map = new FakeMap()));
    return map;
  };
  // a class with private fields, of which only its maps are asked for
  return { maps: openMaps({ map: raw } as unknown as BpfObject), raw };
}
