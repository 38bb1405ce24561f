/**
 * The addresses of one prefix in memory: who holds which, and in which order free ones are taken. Never used ones come
 * first, upwards; then freed ones, the one that rests longest first. Constant time per address, whatever the size.
 */
import type { Space } from './pool-id.ts';
import type { NumberRange } from './ipv4-number.ts';

/** The pool id that holds an address, by address space. */
export type Holders = Partial<Record<Space, string>>;

interface Rest {
  freedAt: number;
  /** Order of freeing; a queue entry counts only while its turn is the address's own. */
  turn: number;
}

interface Lane extends NumberRange {
  /** Nothing from here on was taken by this lane yet. */
  next: number;
  queue: { number: number; turn: number }[];
  head: number;
}

export class AddressBlock {
  readonly range: NumberRange;
  readonly #reserved: ReadonlySet<number>;
  readonly #held = new Map<number, Holders>();
  readonly #resting = new Map<number, Rest>();
  readonly #lanes = new Map<string, Lane>();
  #turns = 0;
  #firstTurns = 0;

  /** `reserved` addresses are never given. */
  constructor(range: NumberRange, reserved: number[]) {
    this.range = range;
    this.#reserved = new Set(reserved);
  }

  contains(number: number): boolean {
    return number >= this.range.first && number <= this.range.last;
  }

  isReserved(number: number): boolean {
    return this.#reserved.has(number);
  }

  holders(number: number): Holders | undefined {
    return this.#held.get(number);
  }

  /** Addresses of a pool, in all spaces or for one pool id. */
  *heldBy(poolId?: string): Generator<[number, Holders]> {
    for (const [number, holders] of this.#held) {
      if (poolId === undefined || Object.values(holders).includes(poolId)) yield [number, holders];
    }
  }

  isEmpty(): boolean {
    return this.#held.size === 0;
  }

  /** How much of a part of the block can be given, is held, and was freed not before `since`. */
  count(part: NumberRange, since: number): { capacity: number; held: number; resting: number } {
    const inside = (number: number): boolean => number >= part.first && number <= part.last;
    const amount = (numbers: Iterable<number>): number => [...numbers].filter(inside).length;
    const rested = [...this.#resting].filter(([number, { freedAt }]) => freedAt >= since && inside(number));
    const capacity = part.last - part.first + 1 - amount(this.#reserved);
    return { capacity, held: amount(this.#held.keys()), resting: rested.length };
  }

  /** Takes the next free address of a part of the block and holds it; undefined if everything is held. */
  take(part: NumberRange, space: Space, poolId: string): number | undefined {
    const lane = this.#laneOf(part);
    const number = this.#nextFresh(lane) ?? this.#nextRested(lane);
    if (number !== undefined) this.hold(number, space, poolId);
    return number;
  }

  /** Holds an address that no other pool of the space holds. */
  hold(number: number, space: Space, poolId: string): void {
    this.#resting.delete(number);
    this.#held.set(number, { ...this.#held.get(number), [space]: poolId });
  }

  /** The address is no longer held in that space; if in no other either, it goes to rest, behind all others. */
  free(number: number, space: Space, freedAt: number): void {
    if (this.#drop(number, space)) this.#rest(number, { freedAt, turn: ++this.#turns });
  }

  /** Takes a `take` or `hold` back: the address is the next to be taken again once fresh ones are used up. */
  undo(number: number, space: Space): void {
    if (!this.#drop(number, space)) return;
    const rest = { freedAt: 0, turn: --this.#firstTurns };
    this.#resting.set(number, rest);
    for (const lane of this.#lanesOf(number)) {
      if (lane.head > 0) lane.queue[--lane.head] = { number, turn: rest.turn };
      else lane.queue.unshift({ number, turn: rest.turn });
    }
  }

  /** An address that was freed before the block was made; to be called in the order of freeing. */
  restore(number: number, freedAt: number): void {
    this.#rest(number, { freedAt, turn: ++this.#turns });
  }

  #drop(number: number, space: Space): boolean {
    const { [space]: _gone, ...others } = this.#held.get(number) ?? {};
    if (Object.keys(others).length > 0) {
      this.#held.set(number, others);
      return false;
    }
    return this.#held.delete(number);
  }

  #rest(number: number, rest: Rest): void {
    this.#resting.set(number, rest);
    for (const lane of this.#lanesOf(number)) {
      if (lane.queue.length > 2 * this.#resting.size + 1024) this.#prune(lane);
      lane.queue.push({ number, turn: rest.turn });
    }
  }

  /** Drops queue entries whose address was taken by name meanwhile. */
  #prune(lane: Lane): void {
    lane.queue = lane.queue
      .slice(lane.head)
      .filter(({ number, turn }) => this.#resting.get(number)?.turn === turn);
    lane.head = 0;
  }

  #lanesOf(number: number): Lane[] {
    if (this.isReserved(number)) return [];
    return [...this.#lanes.values()].filter(({ first, last }) => number >= first && number <= last);
  }

  #laneOf({ first, last }: NumberRange): Lane {
    const key = `${first}-${last}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const rested = [...this.#resting].filter(
      ([number]) => number >= first && number <= last && !this.isReserved(number),
    );
    const queue = rested.map(([number, { turn }]) => ({ number, turn })).toSorted((a, b) => a.turn - b.turn);
    const lane = { first, last, next: first, queue, head: 0 };
    this.#lanes.set(key, lane);
    return lane;
  }

  #nextFresh(lane: Lane): number | undefined {
    while (lane.next <= lane.last) {
      const number = lane.next++;
      if (!this.#held.has(number) && !this.#resting.has(number) && !this.isReserved(number)) return number;
    }
    return undefined;
  }

  #nextRested(lane: Lane): number | undefined {
    while (lane.head < lane.queue.length) {
      const { number, turn } = lane.queue[lane.head++]!;
      if (this.#resting.get(number)?.turn === turn) return number;
    }
    return undefined;
  }
}
