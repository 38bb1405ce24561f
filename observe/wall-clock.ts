/** Kernel time to wall time: events carry CLOCK_MONOTONIC, readers want UTC. */
import type { Clock } from '../base/index.ts';

const REMEASURE_NS = 1_000_000_000n;
/** `Clock` ticks in milliseconds, so two measurements differ by up to one without the clock having been set. */
const JITTER_NS = 2_000_000n;

/**
 * Keeps the distance between the two clocks, measured anew at most once a second and taken over only when the
 * wall clock was really set; so events of one burst keep their order and their distances.
 */
export class WallClock {
  readonly #clock: Clock;
  readonly #monotonic: () => bigint;
  #offsetNs: bigint;
  #measuredAt: bigint;

  constructor(clock: Clock, monotonic: () => bigint = () => process.hrtime.bigint()) {
    this.#clock = clock;
    this.#monotonic = monotonic;
    this.#measuredAt = monotonic();
    this.#offsetNs = BigInt(clock.now()) * 1_000_000n - this.#measuredAt;
  }

  /** RFC 3339 in UTC with nanoseconds. */
  format(timeNs: bigint): string {
    this.#follow();
    const wall = timeNs + this.#offsetNs;
    const seconds = new Date(Number(wall / 1_000_000n)).toISOString().slice(0, 19);
    return `${seconds}.${String(wall % 1_000_000_000n).padStart(9, '0')}Z`;
  }

  #follow(): void {
    const now = this.#monotonic();
    if (now - this.#measuredAt < REMEASURE_NS) return;
    this.#measuredAt = now;
    const offset = BigInt(this.#clock.now()) * 1_000_000n - now;
    const moved = offset > this.#offsetNs ? offset - this.#offsetNs : this.#offsetNs - offset;
    if (moved > JITTER_NS) this.#offsetNs = offset;
  }
}
