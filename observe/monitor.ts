/** The hub between the event ring and whoever watches. */
import type { FlowEvent } from './event.ts';
import { compileFilter, type FlowFilter } from './filter.ts';
import { enrich, type FlowNames } from './flow.ts';
import { FlowQueue, type FlowSink, type FlowSubscription } from './subscription.ts';

const QUEUE_LIMIT = 4096;

interface Client {
  wants: (event: FlowEvent) => boolean;
  queue: FlowQueue;
}

/**
 * Fans events out to subscribers. An event that nobody wants costs a few comparisons; one that somebody wants is
 * enriched once, however many want it.
 */
export class Monitor {
  readonly #names: FlowNames;
  readonly #clients = new Set<Client>();

  constructor(names: FlowNames) {
    this.#names = names;
  }

  /** Number of subscribers: with none the ring need not be decoded at all. */
  get subscribers(): number {
    return this.#clients.size;
  }

  publish(event: FlowEvent): void {
    let flow: ReturnType<typeof enrich> | undefined;
    for (const client of this.#clients) {
      if (client.wants(event)) client.queue.push((flow ??= enrich(event, this.#names)));
    }
  }

  /** The kernel's ring was full: `count` events never came up. Everybody is told, for nobody knows whose they were. */
  lost(count: number): void {
    if (count > 0) for (const client of this.#clients) client.queue.lose(count);
  }

  subscribe(filter: FlowFilter, sink: FlowSink, limit = QUEUE_LIMIT): FlowSubscription {
    const client: Client = { wants: compileFilter(filter), queue: new FlowQueue(sink, limit) };
    this.#clients.add(client);
    return {
      resume: () => {
        if (this.#clients.has(client)) client.queue.resume();
      },
      close: () => void this.#clients.delete(client),
    };
  }
}
