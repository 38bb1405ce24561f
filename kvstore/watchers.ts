/** Who watches what, and the last events, so that a watcher can resume. */
import type { Log } from '../base/index.ts';
import type { Watch, WatchEvent } from './store.ts';

export type ChangeEvent = Exclude<WatchEvent, { type: 'resync' }>;

const REMEMBERED = 4096;

interface Watcher {
  prefix: string;
  onEvent: (event: WatchEvent) => void;
}

export class Watchers {
  readonly #log: Log;
  readonly #watchers = new Set<Watcher>();
  #history: ChangeEvent[] = [];
  /** Changes up to this revision are forgotten. */
  #forgotten: number;

  constructor(revision: number, log: Log) {
    this.#forgotten = revision;
    this.#log = log;
  }

  /** Events of one commit, in order. A listener that throws is logged; the others still hear. */
  publish(events: ChangeEvent[]): void {
    this.#history.push(...events);
    if (this.#history.length > 2 * REMEMBERED) {
      const dropped = this.#history.splice(0, this.#history.length - REMEMBERED);
      this.#forgotten = revisionOf(dropped.at(-1)!);
    }
    for (const event of events) for (const watcher of this.#watchers) this.#deliver(watcher, event);
  }

  /** Calls back from the next microtask on, first with what was missed or with `resync`'s answer. */
  add(watcher: Watcher, fromRevision: number | undefined, resync: () => WatchEvent): Watch {
    let open = true;
    queueMicrotask(() => {
      if (!open) return;
      const missed =
        fromRevision === undefined || fromRevision < this.#forgotten ? [resync()] : this.#since(fromRevision);
      for (const event of missed) if (open) this.#deliver(watcher, event);
      if (open) this.#watchers.add(watcher);
    });
    return {
      close: () => {
        open = false;
        this.#watchers.delete(watcher);
      },
    };
  }

  clear(): void {
    this.#watchers.clear();
  }

  #since(revision: number): WatchEvent[] {
    return this.#history.filter((event) => revisionOf(event) > revision);
  }

  #deliver(watcher: Watcher, event: WatchEvent): void {
    if (event.type !== 'resync' && !keyOf(event).startsWith(watcher.prefix)) return;
    try {
      watcher.onEvent(event);
    } catch (error) {
      this.#log.error('watcher failed', { prefix: watcher.prefix, error: String(error) });
    }
  }
}

function keyOf(event: ChangeEvent): string {
  return event.type === 'put' ? event.entry.key : event.key;
}

function revisionOf(event: ChangeEvent): number {
  return event.type === 'put' ? event.entry.revision : event.revision;
}
