/** Flow events of the datapath, read from its ring by polling: often while they come, seldom while it is quiet. */
import { RingBuffer } from '../kernel/index.ts';
import type { BpfMap } from '../kernel/index.ts';
import { decodeEvent } from './layout.gen.ts';
import type { Event } from './layout.gen.ts';

const BUSY_MS = 10;
const IDLE_MS = 100;
const LIMIT = 20_000;

/** Calls `onEvent` for each record until it is stopped. One stream per ring. */
export class EventStream {
  readonly #ring: RingBuffer;
  readonly #onEvent: (event: Event) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: BpfMap, onEvent: (event: Event) => void) {
    this.#ring = new RingBuffer(events);
    this.#onEvent = onEvent;
    this.#arm(IDLE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ring.close();
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const count = this.#ring.consume((record) => this.#onEvent(decodeEvent(record)), LIMIT);
      this.#arm(count === LIMIT ? 0 : count > 0 ? BUSY_MS : IDLE_MS);
    }, delayMs);
  }
}
