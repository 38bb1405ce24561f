import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { BpfMap, BpfObject, MAP_TYPE, RingBuffer, testRun } from '../../kernel/index.ts';
import { compile } from './scratch.ts';
import type { Work } from './ring-writer.ts';

const SIZE = 4096;

/** Writes a record of `mark & 0xff` bytes, at least 12, that starts and ends with a running number; 0x100 discards it. */
const WRITER = compile(`
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, ${SIZE});
} weir_ring SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} weir_tally SEC(".maps"); // 0: records tried, 1: records lost

SEC("tc") int emit(struct __sk_buff *skb) {
  __u32 tried = 0, lost = 1, bytes[64] = {};
  __u64 *tries = bpf_map_lookup_elem(&weir_tally, &tried), *losses = bpf_map_lookup_elem(&weir_tally, &lost);
  if (!tries || !losses) return 1;
  __u32 number = (*tries)++; // one writer at a time; an add that tells the sum before is not in 5.10
  __u32 length = skb->mark & 0xfc;
  if (skb->mark & 0x100) {
    void *room = bpf_ringbuf_reserve(&weir_ring, 24, 0);
    if (room) bpf_ringbuf_discard(room, 0);
    return 0;
  }
  if (length < 12) length = 12;
  bytes[0] = number;
  bytes[1] = length;
  bytes[(length / 4 - 1) & 63] = number;
  if (bpf_ringbuf_output(&weir_ring, bytes, length, 0)) {
    __sync_fetch_and_add(losses, 1);
    return 2;
  }
  return 0;
}
char _license[] SEC("license") = "GPL";
`);

interface Bench extends Disposable {
  ring: RingBuffer;
  program: number;
  /** Writes one record; false where the ring is full. */
  write(mark: number): boolean;
  /** Reads and checks each record; returns the running numbers. */
  read(limit?: number): number[];
  tally(slot: 0 | 1): number;
}

function checked(bytes: Buffer): number {
  const number = bytes.readUInt32LE(0);
  assert.equal(bytes.length, bytes.readUInt32LE(4));
  assert.equal(bytes.readUInt32LE(bytes.length - 4), number);
  return number;
}

function bench(): Bench {
  const object = BpfObject.load(WRITER, { name: 'writer' });
  const ring = new RingBuffer(object.map('weir_ring'));
  const program = object.program('emit');
  return {
    ring,
    program,
    write: (mark) => testRun(program, { data: Buffer.alloc(60), context: { mark } }).retval === 0,
    read(limit) {
      const numbers: number[] = [];
      ring.consume((bytes) => numbers.push(checked(bytes)), limit);
      return numbers;
    },
    tally: (slot) =>
      Number(
        object
          .map('weir_tally')
          .lookup(Buffer.from([slot, 0, 0, 0]))
          ?.readBigUInt64LE(),
      ),
    [Symbol.dispose]() {
      ring.close();
      object.close();
    },
  };
}

test('an empty ring gives nothing', () => {
  using at = bench();
  assert.equal(at.ring.backlog(), 0);
  assert.deepEqual(at.read(), []);
});

test('records come in order and once, and a limit leaves the rest for later', () => {
  using at = bench();
  for (let i = 0; i < 10; i += 1) assert.ok(at.write(16));
  assert.equal(at.ring.backlog(), 10 * 24);
  assert.deepEqual(at.read(4), [0, 1, 2, 3]);
  assert.deepEqual(at.read(), [4, 5, 6, 7, 8, 9]);
  assert.deepEqual(at.read(), []);
  assert.equal(at.ring.backlog(), 0);
});

test('discarded records are passed over and make room', () => {
  using at = bench();
  for (let i = 0; i < 500; i += 1) {
    at.write(0x100);
    assert.ok(at.write(16));
    assert.deepEqual(at.read(), [2 * i + 1]);
  }
});

test('a full ring refuses, loses nothing that it holds, and takes more once it is read', () => {
  using at = bench();
  let written = 0;
  while (at.write(0xf8)) written += 1;
  assert.equal(written, Math.floor((SIZE - 1) / 256));
  assert.equal(at.tally(1), 1);
  assert.deepEqual(
    at.read(),
    Array.from({ length: written }, (_, i) => i),
  );
  assert.ok(at.write(0xf8));
  assert.deepEqual(at.read(), [written + 1]);
});

test('records of any length survive any number of wraps, read in any portions', () => {
  const step = fc.record({
    marks: fc.array(fc.integer({ min: 0, max: 0x1ff }), { maxLength: 20 }),
    limit: fc.integer({ min: 0, max: 25 }),
  });
  const property = fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
    using at = bench();
    const expected: number[] = [];
    const read: number[] = [];
    let number = 0;
    for (const { marks, limit } of steps) {
      for (const mark of marks) {
        if (at.write(mark) && mark < 0x100) expected.push(number);
        number += 1;
      }
      read.push(...at.read(limit));
    }
    read.push(...at.read());
    assert.deepEqual(read, expected);
  });
  fc.assert(property, { numRuns: 20 });
});

test('a reader that comes later finds what is left; one whose callback throws has consumed that record', () => {
  const object = BpfObject.load(WRITER, { name: 'writer' });
  const first = new RingBuffer(object.map('weir_ring'));
  testRun(object.program('emit'), { data: Buffer.alloc(60), repeat: 3 });
  const failure = new Error('reader failed');
  const fail = (): never => {
    throw failure;
  };
  assert.throws(() => first.consume(fail), failure);
  first.close();
  const second = new RingBuffer(object.map('weir_ring'));
  const numbers: number[] = [];
  assert.equal(
    second.consume((bytes) => numbers.push(checked(bytes))),
    2,
  );
  assert.deepEqual(numbers, [1, 2]);
  second.close();
  object.close();
});

test('closing from the callback ends the reading, and a closed ring gives nothing', () => {
  using at = bench();
  for (let i = 0; i < 5; i += 1) at.write(16);
  assert.equal(
    at.ring.consume(() => at.ring.close()),
    1,
  );
  assert.deepEqual(at.read(), []);
  assert.equal(at.ring.backlog(), 0);
});

test('a map of another type is refused', () => {
  const map = BpfMap.create({
    type: MAP_TYPE.array,
    name: 'no_ring',
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
  });
  assert.throws(() => new RingBuffer(map), { code: 'BUG', message: /no_ring is no ring buffer/ });
  map.close();
});

test('while another thread writes as fast as it can, every record is read or counted as lost', async () => {
  using at = bench();
  const runs = 100_000;
  const work: Work = { program: at.program, runs };
  const worker = new Worker(new URL('./ring-writer.js', import.meta.url), { workerData: work });
  const writer = { ended: false };
  worker.once('exit', () => (writer.ended = true));
  let last = -1;
  let count = 0;
  const read = (): void => {
    for (const number of at.read()) {
      assert.ok(number > last, `${number} after ${last}`);
      last = number;
      count += 1;
    }
  };
  while (!writer.ended) {
    read();
    await turn();
  }
  read();
  assert.equal(at.tally(0), runs);
  assert.equal(count + at.tally(1), runs);
  assert.ok(count > 0);
});
