/**
 * The reading end of a BPF ring buffer, in JavaScript over mapped memory: no call into C per record.
 *
 *   page 0   consumer position, ours to write
 *   page 1   producer position, read-only
 *   page 2…  the ring, mapped twice in a row, so that a record that wraps is contiguous
 *
 * A record is {u32 length with two flags on top, u32 page offset, bytes, padding to 8}. The kernel publishes it by
 * clearing BUSY with a store-release; Atomics.load is the acquire on our side.
 */
import { BugError } from '../base/index.ts';
import { MAP_TYPE } from './bpf-map.ts';
import type { BpfMap } from './bpf-map.ts';
import { KernelError } from './failure.ts';
import { lastErrno, libc, viewMemory } from './libbpf.ts';
import type { Pointer } from './libbpf.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const LENGTH = 0x3fff_ffff;
const HEADER = 8;
/** Records after which room is handed back to the kernel within one `consume`. */
const HAND_BACK = 64;

interface Mapping {
  at: Pointer;
  size: number;
}

function map(ring: BpfMap, protection: number, offset: number, size: number): Mapping {
  const at = libc().mmap(null, size, protection, MAP_SHARED, ring.fd, offset);
  if (at === MAP_FAILED) throw new KernelError(`map ring buffer ${ring.name}`, lastErrno());
  return { at, size };
}

/** One reader of one ring: two readers of the same ring would steal each other's records. */
export class RingBuffer {
  readonly #mappings: Mapping[] = [];
  readonly #mask: number;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #headers: Int32Array;
  readonly #bytes: Buffer;
  #position: number;
  #state: 'idle' | 'consuming' | 'closing' | 'closed' = 'idle';

  /** Maps the ring; the map may be closed afterwards. Records left by an earlier reader are still there. */
  constructor(ring: BpfMap) {
    if (ring.type !== MAP_TYPE.ringbuf) throw new BugError(`map ${ring.name} is no ring buffer`);
    const page = libc().getpagesize();
    const own = map(ring, PROT_READ | PROT_WRITE, 0, page);
    this.#mappings.push(own);
    const shared = map(ring, PROT_READ, page, page + 2 * ring.maxEntries);
    this.#mappings.push(shared);
    const memory = viewMemory(shared.at, shared.size);
    this.#mask = ring.maxEntries - 1;
    this.#consumer = new BigUint64Array(viewMemory(own.at, page), 0, 1);
    this.#producer = new BigUint64Array(memory, 0, 1);
    this.#headers = new Int32Array(memory, page);
    this.#bytes = Buffer.from(memory, page);
    this.#position = Number(Atomics.load(this.#consumer, 0));
  }

  /** Bytes written and not yet consumed; near the ring's size, the program has begun to lose records. */
  backlog(): number {
    return this.#state === 'closed' ? 0 : Number(Atomics.load(this.#producer, 0)) - this.#position;
  }

  /**
   * Hands over what is there at the call, oldest first, at most `limit` records, and returns how many. Never waits. The
   * bytes are valid only during the callback. If `onRecord` throws, its record counts as consumed. The program, not the
   * ring, counts what is lost while the ring is full.
   */
  consume(onRecord: (bytes: Buffer) => void, limit: number = Number.MAX_SAFE_INTEGER): number {
    if (this.#state !== 'idle') return 0;
    this.#state = 'consuming';
    try {
      return this.#drain(onRecord, limit);
    } finally {
      this.#handBack();
      if (this.#isClosing()) this.#unmap();
      else this.#state = 'idle';
    }
  }

  /** Unmaps, at the end of `consume` when called from its callback. Consuming afterwards gives nothing. */
  close(): void {
    if (this.#state === 'idle') this.#unmap();
    else if (this.#state === 'consuming') this.#state = 'closing';
  }

  #drain(onRecord: (bytes: Buffer) => void, limit: number): number {
    const end = Number(Atomics.load(this.#producer, 0));
    let count = 0;
    while (count < limit && this.#position < end && !this.#isClosing()) {
      const at = this.#position & this.#mask;
      const header = Atomics.load(this.#headers, at >> 2) >>> 0;
      if (header >= BUSY) break;
      const length = header & LENGTH;
      this.#position += (HEADER + length + 7) & ~7;
      if ((header & DISCARD) !== 0) continue;
      count += 1;
      onRecord(this.#bytes.subarray(at + HEADER, at + HEADER + length));
      if (count % HAND_BACK === 0) this.#handBack();
    }
    return count;
  }

  #isClosing(): boolean {
    return this.#state === 'closing';
  }

  #handBack(): void {
    Atomics.store(this.#consumer, 0, BigInt(this.#position));
  }

  #unmap(): void {
    this.#state = 'closed';
    for (const { at, size } of this.#mappings) libc().munmap(at, size);
  }
}
