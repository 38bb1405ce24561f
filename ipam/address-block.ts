/**
 * The addresses of one prefix, or of several that serve as one, in memory: who holds which, and in which order free ones
 * are taken. Never used ones come first, upwards; then freed ones, the one that rests longest first. Constant time per
 * address, whatever the size.
 */
import type { Space } from './pool-id.ts';
import type { NumberRange } from './address-number.ts';

/** The pool id that holds an address, by address space. */
export type Holders = Partial<Record<Space, string>>;

interface Rest {
  freedAt: number;
  /** Order of freeing; a queue entry counts only while its turn is the address's own. */
  turn: number;
}

/** Takers of one and the same choice of addresses. */
interface Lane {
  /** All parts of the block, also those that come later, or one range. */
  parts: readonly NumberRange[];
  /** Nothing from here on was taken by this lane yet: a part, and an offset into it. */
  at: number;
  offset: bigint;
  queue: { number: bigint; turn: number }[];
  head: number;
}

export class AddressBlock {
  readonly #parts: NumberRange[] = [];
  readonly #reserved = new Set<bigint>();
  readonly #held = new Map<bigint, Holders>();
  readonly #resting = new Map<bigint, Rest>();
  readonly #lanes = new Map<string, Lane>();
  #turns = 0;
  #firstTurns = 0;

  /** `reserved` addresses are never given. */
  constructor(range: NumberRange, reserved: bigint[]) {
    this.extend(range, reserved);
  }

  /** Adds a further prefix; its addresses come after those that were never used before it. */
  extend(range: NumberRange, reserved: bigint[]): void {
    this.#parts.push(range);
    for (const number of reserved) this.#reserved.add(number);
  }

  isReserved(number: bigint): boolean {
    return this.#reserved.has(number);
  }

  holders(number: bigint): Holders | undefined {
    return this.#held.get(number);
  }

  /** Addresses of a pool, in all spaces or for one pool id. */
  *heldBy(poolId?: string): Generator<[bigint, Holders]> {
    for (const [number, holders] of this.#held) {
      if (poolId === undefined || Object.values(holders).includes(poolId)) yield [number, holders];
    }
  }

  /** How much of a range can be given, is held, and was freed not before `since`. */
  count(range: NumberRange, since: number): { capacity: number; held: number; resting: number } {
    const rested = amountIn(range, this.#resting, (number) => this.#resting.get(number)!.freedAt >= since);
    const capacity = sizeOf(range) - amountIn(range, this.#reserved);
    return { capacity, held: amountIn(range, this.#held), resting: rested };
  }

  /** How many addresses of all parts can be given. */
  get capacity(): number {
    return this.#parts.reduce((sum, part) => sum + sizeOf(part), -this.#reserved.size);
  }

  /** Takes the next free address of a range, or of all parts, and holds it; undefined if everything is held. */
  take(range: NumberRange | undefined, space: Space, poolId: string): bigint | undefined {
    const lane = this.#laneOf(range);
    const number = this.#nextFresh(lane) ?? this.#nextRested(lane);
    if (number !== undefined) this.hold(number, space, poolId);
    return number;
  }

  /** Holds an address that no other pool of the space holds. */
  hold(number: bigint, space: Space, poolId: string): void {
    this.#resting.delete(number);
    this.#held.set(number, { ...this.#held.get(number), [space]: poolId });
  }

  /** The address is no longer held in that space; if in no other either, it goes to rest, behind all others. */
  free(number: bigint, space: Space, freedAt: number): void {
    if (this.#drop(number, space)) this.#rest(number, { freedAt, turn: ++this.#turns });
  }

  /** Takes a `take` or `hold` back: the address is the next to be taken again once fresh ones are used up. */
  undo(number: bigint, space: Space): void {
    if (!this.#drop(number, space)) return;
    const rest = { freedAt: 0, turn: --this.#firstTurns };
    this.#resting.set(number, rest);
    for (const lane of this.#lanesOf(number)) {
      if (lane.head > 0) lane.queue[--lane.head] = { number, turn: rest.turn };
      else lane.queue.unshift({ number, turn: rest.turn });
    }
  }

  /** An address that was freed before the block was made; to be called in the order of freeing. */
  restore(number: bigint, freedAt: number): void {
    this.#rest(number, { freedAt, turn: ++this.#turns });
  }

  #drop(number: bigint, space: Space): boolean {
    const { [space]: _gone, ...others } = this.#held.get(number) ?? {};
    if (Object.keys(others).length > 0) {
      this.#held.set(number, others);
      return false;
    }
    return this.#held.delete(number);
  }

  #rest(number: bigint, rest: Rest): void {
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

  #lanesOf(number: bigint): Lane[] {
    if (this.isReserved(number)) return [];
    return [...this.#lanes.values()].filter((lane) => this.#serves(lane, number));
  }

  #serves({ parts }: Lane, number: bigint): boolean {
    return parts === this.#parts || parts.some((part) => isIn(part, number));
  }

  #laneOf(range: NumberRange | undefined): Lane {
    const key = range === undefined ? '' : `${range.first}-${range.last}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const parts = range === undefined ? this.#parts : [range];
    const lane: Lane = { parts, at: 0, offset: 0n, queue: [], head: 0 };
    lane.queue = [...this.#resting]
      .filter(([number]) => this.#serves(lane, number) && !this.isReserved(number))
      .map(([number, { turn }]) => ({ number, turn }))
      .toSorted((a, b) => a.turn - b.turn);
    this.#lanes.set(key, lane);
    return lane;
  }

  #nextFresh(lane: Lane): bigint | undefined {
    for (; lane.at < lane.parts.length; lane.at++, lane.offset = 0n) {
      const { first, last } = lane.parts[lane.at]!;
      while (first + lane.offset <= last) {
        const number = first + lane.offset++;
        if (!this.#held.has(number) && !this.#resting.has(number) && !this.isReserved(number)) return number;
      }
    }
    return undefined;
  }

  #nextRested(lane: Lane): bigint | undefined {
    while (lane.head < lane.queue.length) {
      const { number, turn } = lane.queue[lane.head++]!;
      if (this.#resting.get(number)?.turn === turn) return number;
    }
    return undefined;
  }
}

/** As a plain number: beyond 2^53 the last digits are lost, which no one counts. */
function sizeOf({ first, last }: NumberRange): number {
  return Number(last - first + 1n);
}

function isIn({ first, last }: NumberRange, number: bigint): boolean {
  return number >= first && number <= last;
}

/** How many of the numbers are in the range and fulfil the condition; looks at the range or at the numbers, whichever is less. */
function amountIn(
  range: NumberRange,
  numbers: ReadonlySet<bigint> | ReadonlyMap<bigint, unknown>,
  condition: (number: bigint) => boolean = () => true,
): number {
  let amount = 0;
  if (range.last - range.first < BigInt(numbers.size)) {
    for (let number = range.first; number <= range.last; number++)
      if (numbers.has(number) && condition(number)) amount++;
  } else {
    for (const number of numbers.keys()) if (isIn(range, number) && condition(number)) amount++;
  }
  return amount;
}
