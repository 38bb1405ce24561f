/**
 * Batches over a map, with single calls where the kernel has no batch for the type (LPM before 5.13) or stops half way.
 * The rule for writing is the same everywhere: after a batch that failed, do the next entry alone. If that fails too the
 * error is real; if not, go on in batches from there. This also resumes after the ENOMEM with which maps that allocate
 * on demand answer a large batch now and then (seen on 6.1).
 */
import { ENOTSUPP, ERRNO, expect } from './failure.ts';
import { libbpf } from './libbpf.ts';

interface Target {
  readonly fd: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSpan: number;
  readonly maxEntries: number;
  lookup(key: Buffer): Buffer | undefined;
  update(key: Buffer, value: Buffer): void;
  delete(key: Buffer): boolean;
}

export interface MapEntry {
  key: Buffer;
  value: Buffer;
}

const BATCH = 1024;

/** Descriptors are reused, so what cannot batch is remembered by the object that owns the descriptor. */
const single = new WeakSet<Target>();

function isMissing(result: number): boolean {
  return result === -ENOTSUPP || result === -ERRNO.EOPNOTSUPP;
}

interface Write {
  count: number;
  /** Writes entries [from, to) in one call, leaving the number done in `done`. */
  batch(from: number, to: number, done: Buffer): number;
  one(index: number): void;
}

function write(map: Target, work: Write): void {
  const done = Buffer.alloc(4);
  let at = 0;
  while (at < work.count) {
    const end = Math.min(work.count, at + BATCH);
    if (!single.has(map)) {
      done.writeUInt32LE(end - at);
      const result = work.batch(at, end, done);
      if (result >= 0) {
        at = end;
        continue;
      }
      if (isMissing(result)) single.add(map);
      else at += progress(result, done, end - at);
      if (at === end) continue;
    }
    work.one(at);
    at += 1;
  }
}

/** Entries a failed batch has done. EFAULT and EINVAL leave the count as it was given: nothing was done. */
function progress(result: number, done: Buffer, asked: number): number {
  const count = done.readUInt32LE();
  return result === -ERRNO.EFAULT || result === -ERRNO.EINVAL || count >= asked ? 0 : count;
}

export function updateInBatches(map: Target, keys: Buffer, values: Buffer, count: number): void {
  const key = (from: number, to: number): Buffer => keys.subarray(from * map.keySize, to * map.keySize);
  const value = (from: number, to: number): Buffer =>
    values.subarray(from * map.valueSpan, to * map.valueSpan);
  write(map, {
    count,
    batch: (from, to, done) =>
      libbpf().bpf_map_update_batch(map.fd, key(from, to), value(from, to), done, null),
    one: (at) => map.update(key(at, at + 1), value(at, at + 1)),
  });
}

export function deleteInBatches(map: Target, keys: Buffer, count: number): void {
  const key = (from: number, to: number): Buffer => keys.subarray(from * map.keySize, to * map.keySize);
  write(map, {
    count,
    batch: (from, to, done) => libbpf().bpf_map_delete_batch(map.fd, key(from, to), done, null),
    one: (at) => void map.delete(key(at, at + 1)),
  });
}

/** Every entry, by batches of the kernel's choosing. */
export function* readInBatches(map: Target): Generator<MapEntry> {
  let size = Math.min(BATCH, Math.max(1, map.maxEntries));
  let cursor: Buffer | null = null;
  while (!single.has(map)) {
    const keys = Buffer.allocUnsafeSlow(size * map.keySize);
    const values = Buffer.allocUnsafeSlow(size * map.valueSpan);
    const next: Buffer = Buffer.alloc(Math.max(map.keySize, 8)); // a bucket number, or the last key
    const count = Buffer.alloc(4);
    count.writeUInt32LE(size);
    const result: number = libbpf().bpf_map_lookup_batch(map.fd, cursor, next, keys, values, count, null);
    if (isMissing(result)) {
      single.add(map);
      break;
    }
    if (result === -ERRNO.ENOSPC) {
      size *= 2; // one bucket of the hash holds more than the batch
      continue;
    }
    // EINTR: an entry went under the kernel's hands, and what it had by then is good
    if (result !== -ERRNO.ENOENT && result !== -ERRNO.EINTR) expect(result, `read map ${map.name}`);
    yield* split(map, keys, values, count.readUInt32LE());
    if (result === -ERRNO.ENOENT) return;
    if (count.readUInt32LE() > 0) cursor = next;
  }
  yield* readOneByOne(map);
}

function* split(map: Target, keys: Buffer, values: Buffer, count: number): Generator<MapEntry> {
  const { keySize, valueSpan } = map;
  for (let i = 0; i < count; i += 1) {
    const key = keys.subarray(i * keySize, (i + 1) * keySize);
    yield { key, value: values.subarray(i * valueSpan, (i + 1) * valueSpan) };
  }
}

function nextKey(map: Target, key: Buffer | null): Buffer | undefined {
  const next = Buffer.allocUnsafe(map.keySize);
  const result = libbpf().bpf_map_get_next_key(map.fd, key, next);
  if (result === -ERRNO.ENOENT) return undefined;
  expect(result, `read map ${map.name}`);
  return next;
}

/** The next key is asked for before this one is handed out: the kernel starts over at a key that has gone. */
function* readOneByOne(map: Target): Generator<MapEntry> {
  let key = nextKey(map, null);
  while (key !== undefined) {
    const next = nextKey(map, key);
    const value = map.lookup(key);
    if (value !== undefined) yield { key, value };
    key = next;
  }
}
