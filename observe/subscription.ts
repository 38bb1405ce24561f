/** One client's place in the stream: a bounded queue in front of a writer that may be slow. */
import type { api } from '../base/index.ts';

export interface FlowSink {
  /** Takes one record; false means "full: call `resume` before the next one". */
  write(record: api.MonitorRecord): boolean;
}

export interface FlowSubscription {
  /** The sink can take records again. */
  resume(): void;
  close(): void;
}

/**
 * Records wait here while the sink is full, up to `limit`; later ones are counted, and the count goes to the
 * client at the place in the stream where they are missing. Never blocks, never grows.
 */
export class FlowQueue {
  readonly #sink: FlowSink;
  readonly #limit: number;
  #waiting: api.MonitorRecord[] = [];
  #full = false;
  #lost = 0;

  constructor(sink: FlowSink, limit: number) {
    this.#sink = sink;
    this.#limit = limit;
  }

  push(flow: api.Flow): void {
    if (this.#full && this.#waiting.length >= this.#limit) this.#lost += 1;
    else this.#offer(flow);
  }

  /** Events that were gone before they came here. */
  lose(count: number): void {
    this.#lost += count;
    if (!this.#full) this.#reportLoss();
  }

  resume(): void {
    this.#full = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    let at = 0;
    for (; at < waiting.length && !this.#full; at++) this.#write(waiting[at]!);
    this.#waiting = waiting.slice(at);
    if (!this.#full) this.#reportLoss();
  }

  #offer(flow: api.Flow): void {
    // A gap is told before the first record behind it, so it takes its own place in the queue.
    this.#reportLoss();
    this.#write(flow);
  }

  #reportLoss(): void {
    if (this.#lost === 0) return;
    const count = this.#lost;
    this.#lost = 0;
    this.#write({ type: 'lost', count });
  }

  #write(record: api.MonitorRecord): void {
    if (this.#full) this.#waiting.push(record);
    else this.#full = !this.#sink.write(record);
  }
}
