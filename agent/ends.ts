/** What has been started and must be ended: the last first, each whether or not another failed, all of it in limited time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../base/index.ts';
import type { Log } from '../base/index.ts';

interface End {
  what: string;
  run: () => void | Promise<void>;
}

export class Ends {
  readonly #log: Log;
  readonly #ends: End[] = [];
  #running: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  add(what: string, run: End['run']): void {
    this.#ends.push({ what, run });
  }

  /** Resolves when all have ended or `ms` are over; what hangs is left to the end of the process. Idempotent. */
  run(ms: number): Promise<void> {
    return (this.#running ??= this.#runAll(Date.now() + ms));
  }

  async #runAll(deadline: number): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop())
      await this.#runOne(end, deadline);
  }

  /** The one that hangs may have half of what is left of the time, so that the others have some too. */
  async #runOne({ what, run }: End, deadline: number): Promise<void> {
    const limit = new AbortController();
    const isLate = sleep(Math.max(0, deadline - Date.now()) / 2, true, { signal: limit.signal }).catch(
      () => false,
    );
    try {
      if ((await Promise.race([run(), isLate])) === true) this.#log.warn('not ended in time', { what });
    } catch (error) {
      this.#log.error('cannot end', { what, reason: describeError(error) });
    } finally {
      limit.abort();
    }
  }
}
