/** A BPF map with a codec: keys and values as objects, in the layouts that C says. */
import type { BpfMap } from '../kernel/index.ts';

export interface Codec<T> {
  size: number;
  encode(value: T): Buffer;
  decode(bytes: Buffer): T;
}

/** A map as the floors above see it. Every write throws KernelError where the kernel refuses; "not there" is an answer. */
export class TypedMap<K, V> {
  readonly map: BpfMap;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly #onChange: () => void;

  /** `onChange` is called after every write by way of this object. */
  constructor(map: BpfMap, key: Codec<K>, value: Codec<V>, onChange: () => void = () => {}) {
    this.map = map;
    this.#key = key;
    this.#value = value;
    this.#onChange = onChange;
  }

  get(key: K): V | undefined {
    const value = this.map.lookup(this.#key.encode(key));
    return value && this.#value.decode(value);
  }

  set(key: K, value: V): void {
    this.map.update(this.#key.encode(key), this.#value.encode(value));
    this.#onChange();
  }

  delete(key: K): boolean {
    const wasThere = this.map.delete(this.#key.encode(key));
    this.#onChange();
    return wasThere;
  }

  /** In batches where the kernel has them. Not atomic: a reader may see some of them before the others. */
  setAll(entries: readonly (readonly [K, V])[]): void {
    if (entries.length === 0) return;
    const keys = Buffer.concat(entries.map(([key]) => this.#key.encode(key)));
    this.map.updateBatch(
      keys,
      Buffer.concat(entries.map(([, value]) => this.#value.encode(value))),
      entries.length,
    );
    this.#onChange();
  }

  /** Keys that are not there are passed over. */
  deleteAll(keys: readonly K[]): void {
    if (keys.length === 0) return;
    this.map.deleteBatch(Buffer.concat(keys.map((key) => this.#key.encode(key))), keys.length);
    this.#onChange();
  }

  *entries(): Generator<[K, V]> {
    for (const { key, value } of this.map.entries()) yield [this.#key.decode(key), this.#value.decode(value)];
  }
}
