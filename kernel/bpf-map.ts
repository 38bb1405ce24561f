/** A BPF map: typed by sizes only; the codecs of the floor above know what the bytes mean. */
import { closeSync } from 'node:fs';
import { BugError } from '../base/index.ts';
import { ERRNO, expect, MapFullError } from './failure.ts';
import { libbpf } from './libbpf.ts';
import { deleteInBatches, readInBatches, updateInBatches } from './map-batch.ts';
import { openPinned, pinObject } from './pin.ts';

/** Map types by name (linux/bpf.h). */
export const MAP_TYPE = {
  hash: 1,
  array: 2,
  percpuHash: 5,
  percpuArray: 6,
  lruHash: 9,
  lruPercpuHash: 10,
  lpmTrie: 11,
  ringbuf: 27,
} as const;

/** Map flags by name; an LPM trie must have `noPrealloc`. */
export const MAP_FLAG = { noPrealloc: 1 } as const;

export interface MapShape {
  type: number;
  name: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
}

const UPDATE = { any: 0, noexist: 1, exist: 2 } as const;
export type UpdateFlag = keyof typeof UPDATE;

/** A map that allocates on demand has a small stock, which some kernels refill only on the timer tick. */
const REFILL_TICKS = 10;
const TICK_MS = 10;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** A hash that is full says E2BIG, a trie ENOSPC. */
const FULL: readonly number[] = [-ERRNO.E2BIG, -ERRNO.ENOSPC];

const PER_CPU: readonly number[] = [MAP_TYPE.percpuHash, MAP_TYPE.percpuArray, MAP_TYPE.lruPercpuHash];

let cpus: number | undefined;

/** CPUs the kernel may ever have, which is what per-CPU values are sized by; more than are online. */
export function possibleCpus(): number {
  return (cpus ??= expect(libbpf().libbpf_num_possible_cpus(), 'count the possible CPUs'));
}

/** Bytes that one value takes between kernel and user: per-CPU maps hand over one padded copy per possible CPU. */
export function valueSpan(shape: Pick<MapShape, 'type' | 'valueSize'>): number {
  return PER_CPU.includes(shape.type) ? Math.ceil(shape.valueSize / 8) * 8 * possibleCpus() : shape.valueSize;
}

/** Reads the shape of an open map. */
export function mapShape(fd: number): MapShape {
  const info = Buffer.alloc(80);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(info.length);
  expect(libbpf().bpf_obj_get_info_by_fd(fd, info, size), 'read the shape of a map');
  const field = (index: number): number => info.readUInt32LE(index * 4); // type, id, key, value, max, flags, name
  const name = info.toString('latin1', 24, 40).replace(/\0.*$/s, '');
  return {
    type: field(0),
    name,
    keySize: field(2),
    valueSize: field(3),
    maxEntries: field(4),
    flags: field(5),
  };
}

/**
 * An open map. Every call throws KernelError with the map's name where the kernel refuses; "not there" is an answer.
 * Keys and values are whole: a wrong length is a BugError, because the kernel would read past the buffer.
 */
export class BpfMap {
  readonly fd: number;
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Length of a value buffer: `valueSize`, or a padded copy for every possible CPU. */
  readonly valueSpan: number;

  constructor(fd: number, shape: MapShape = mapShape(fd)) {
    this.fd = fd;
    this.name = shape.name;
    this.type = shape.type;
    this.keySize = shape.keySize;
    this.valueSize = shape.valueSize;
    this.maxEntries = shape.maxEntries;
    this.flags = shape.flags;
    this.valueSpan = valueSpan(shape);
  }

  /** The map pinned at `path`, or undefined where nothing is. Throws where something else is pinned there. */
  static openPinned(path: string): BpfMap | undefined {
    const fd = openPinned(path, 'map');
    return fd === undefined ? undefined : new BpfMap(fd);
  }

  /** A new map, gone with its last descriptor unless pinned. The kernel keeps 15 characters of the name. */
  static create(shape: Omit<MapShape, 'flags'> & { flags?: number }): BpfMap {
    const flags = shape.flags ?? 0;
    const options = Buffer.alloc(48); // struct bpf_map_create_opts
    options.writeBigUInt64LE(48n);
    options.writeUInt32LE(flags, 28);
    const { type, name, keySize, valueSize, maxEntries } = shape;
    const fd = libbpf().bpf_map_create(type, name, keySize, valueSize, maxEntries, options);
    return new BpfMap(expect(fd, `create map ${name}`), { ...shape, flags });
  }

  /** The value, or undefined. */
  lookup(key: Buffer): Buffer | undefined {
    this.#check(key, this.keySize, 'key');
    const value = Buffer.allocUnsafe(this.valueSpan);
    const result = libbpf().bpf_map_lookup_elem(this.fd, key, value);
    if (result === -ERRNO.ENOENT) return undefined;
    expect(result, `look up in map ${this.name}`);
    return value;
  }

  /** Throws EEXIST or ENOENT where the flag forbids it, E2BIG where a hash is full. */
  update(key: Buffer, value: Buffer, flag: UpdateFlag = 'any'): void {
    this.#check(key, this.keySize, 'key');
    this.#check(value, this.valueSpan, 'value');
    let result = libbpf().bpf_map_update_elem(this.fd, key, value, UPDATE[flag]);
    for (let tick = 0; result === -ERRNO.ENOMEM && tick < REFILL_TICKS; tick++) {
      Atomics.wait(PAUSE, 0, 0, TICK_MS);
      result = libbpf().bpf_map_update_elem(this.fd, key, value, UPDATE[flag]);
    }
    if (FULL.includes(result)) throw new MapFullError(this.name, this.maxEntries, result);
    expect(result, `update map ${this.name}`);
  }

  /** Whether the key was there. */
  delete(key: Buffer): boolean {
    this.#check(key, this.keySize, 'key');
    const result = libbpf().bpf_map_delete_elem(this.fd, key);
    if (result === -ERRNO.ENOENT) return false;
    expect(result, `delete from map ${this.name}`);
    return true;
  }

  /** Writes `count` entries, keys and values concatenated. Not atomic: it throws with a part of them written. */
  updateBatch(keys: Buffer, values: Buffer, count: number): void {
    this.#check(keys, this.keySize * count, 'keys');
    this.#check(values, this.valueSpan * count, 'values');
    updateInBatches(this, keys, values, count);
  }

  /** Deletes `count` concatenated keys; those that are not there do not matter. */
  deleteBatch(keys: Buffer, count: number): void {
    this.#check(keys, this.keySize * count, 'keys');
    deleteInBatches(this, keys, count);
  }

  /**
   * All entries, in no order. Deleting what was yielded is safe; entries that come, or go unseen, during the walk may
   * be yielded or not, and after a restart of the kernel's cursor some may come twice.
   */
  *entries(): Generator<{ key: Buffer; value: Buffer }> {
    yield* readInBatches(this);
  }

  *keys(): Generator<Buffer> {
    for (const { key } of this.entries()) yield key;
  }

  /** Makes the map outlive its descriptors, under a path of a bpffs. */
  pin(path: string): void {
    pinObject(this.fd, path);
  }

  /** Only for maps from `openPinned` and `create`: those of an object go with the object. */
  close(): void {
    closeSync(this.fd);
  }

  #check(bytes: Buffer, length: number, what: string): void {
    if (bytes.length === length) return;
    throw new BugError(`map ${this.name}: ${what} of ${bytes.length} bytes where ${length} are due`);
  }
}
