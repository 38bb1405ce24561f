import { type Clock, HostError, systemClock } from '../base/index.ts';
import {
  FIRST_ENDPOINT_IDENTITY,
  type Identity,
  LAST_ENDPOINT_IDENTITY,
  isEndpointIdentity,
  isReserved,
} from './identity.ts';
import { canonicalLabels } from './label.ts';
import { reservedIdentities } from './reserved.ts';

/** What the allocator needs of a store. A write is durable when its promise resolves. */
export interface IdentityRecords {
  list(prefix: string): Promise<{ key: string; value: unknown }[]>;
  put(key: string, value: unknown): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

export interface HeldIdentity extends Identity {
  /** How many holders use it; 0 while it rests. */
  endpoints: number;
}

/** How long a number means the same label set after its last holder went: longer than any connection lingers. */
const REST_MS = 3_600_000;

interface Slot extends Identity {
  holders: Set<string>;
  restingSince: number;
  /** False until the record is in the store for certain. */
  durable: boolean;
  /** The write under way, if any. */
  writing: Promise<void> | undefined;
}

export interface IdentityAllocatorOptions {
  store: IdentityRecords;
  clock?: Clock;
  /** Where the records are: `<prefix><number>`. */
  prefix?: string;
  /** Numbers to give out, both ends included. */
  first?: number;
  last?: number;
}

/**
 * Gives label sets their numbers. All calls may overlap; for one holder the latest call counts.
 * A holder has one identity at a time: acquiring another lets go of the first.
 */
export class IdentityAllocator {
  readonly #store: IdentityRecords;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #first: number;
  readonly #last: number;
  /** Every number that is taken, also while its deletion is under way. */
  readonly #byId = new Map<number, Slot>();
  readonly #byLabels = new Map<string, Slot>();
  readonly #held = new Map<string, Slot>();
  /** The call that decides what a holder gets, while its write is under way. */
  readonly #latest = new Map<string, symbol>();
  #collecting: Promise<number[]> | undefined;
  #cursor: number;

  constructor(options: IdentityAllocatorOptions) {
    this.#store = options.store;
    this.#clock = options.clock ?? systemClock;
    this.#prefix = options.prefix ?? 'identities/';
    this.#first = options.first ?? FIRST_ENDPOINT_IDENTITY;
    this.#last = options.last ?? LAST_ENDPOINT_IDENTITY;
    this.#cursor = this.#first;
    for (const identity of reservedIdentities()) this.#install(identity, true);
  }

  /** Reads what was given out before. Call once, before anything else. Throws HostError on a record it cannot trust. */
  async load(): Promise<void> {
    for (const { key, value } of await this.#store.list(this.#prefix)) {
      const identity = readRecord(key, key.slice(this.#prefix.length), value);
      this.#install(identity, true);
      this.#cursor = Math.max(this.#cursor, identity.id + 1);
    }
  }

  /**
   * The identity of a label set, durable and held by `holder` when the promise resolves. Idempotent. When it rejects,
   * the holder has what it had before; IDENTITY_EXHAUSTED when every number is in use or resting.
   */
  async acquire(labels: string[], holder: string): Promise<Identity> {
    const wanted = canonicalLabels(labels);
    if (!this.#byLabels.has(keyOf(wanted)) && this.#freeNumber() === undefined) await this.collect();
    const slot = this.#byLabels.get(keyOf(wanted)) ?? this.#create(wanted);
    if (slot.durable) this.#hold(holder, slot);
    else await this.#holdWhenDurable(holder, slot);
    return { id: slot.id, labels: slot.labels };
  }

  /** Lets go of what `holder` holds; nothing if it holds nothing. The number rests from its last holder on. */
  release(holder: string): Promise<void> {
    this.#latest.delete(holder);
    this.#letGo(holder);
    return Promise.resolve();
  }

  /** The label set behind a number: held, resting or reserved. */
  get(id: number): Identity | undefined {
    const slot = this.#byId.get(id);
    return slot?.durable === true ? { id, labels: slot.labels } : undefined;
  }

  /** Every identity, reserved ones first, by number. */
  list(): HeldIdentity[] {
    return [...this.#byId.values()]
      .filter((slot) => slot.durable)
      .map((slot) => ({ id: slot.id, labels: slot.labels, endpoints: slot.holders.size }))
      .toSorted((a, b) => a.id - b.id);
  }

  /** Forgets the numbers that have rested an hour, and tells which. What a failing store leaves is tried next time. */
  collect(): Promise<number[]> {
    // Never two sweeps at once: the later one's deletion could hit a number that has just been given out again.
    this.#collecting ??= this.#sweep().finally(() => (this.#collecting = undefined));
    return this.#collecting;
  }

  async #sweep(): Promise<number[]> {
    const before = this.#clock.now() - REST_MS;
    const rested = [...this.#byId.values()].filter((slot) => !isReserved(slot.id) && isRested(slot, before));
    // From here on their label sets get new numbers; the old ones stay taken until their records are gone.
    for (const slot of rested) {
      if (this.#byLabels.get(keyOf(slot.labels)) === slot) this.#byLabels.delete(keyOf(slot.labels));
      slot.durable = false; // a deletion that fails may have reached the disk all the same
    }
    for (const slot of rested) {
      await this.#store.delete(this.#prefix + String(slot.id));
      this.#byId.delete(slot.id);
    }
    return rested.map((slot) => slot.id);
  }

  #create(labels: string[]): Slot {
    const id = this.#freeNumber();
    if (id === undefined) {
      throw new HostError(
        'IDENTITY_EXHAUSTED',
        `all identities from ${this.#first} to ${this.#last} are taken`,
        {
          hint: 'leave labels that differ per container out with a label filter; unused numbers come back after an hour',
          retryable: true,
        },
      );
    }
    this.#cursor = id + 1;
    return this.#install({ id, labels }, false);
  }

  /** The next number nobody has, going round, so that a number returns as late as possible. */
  #freeNumber(): number | undefined {
    const size = this.#last - this.#first + 1;
    for (let step = 0; step < size; step++) {
      const id = this.#first + ((this.#cursor - this.#first + step) % size);
      if (!this.#byId.has(id)) return id;
    }
    return undefined;
  }

  #install(identity: Identity, durable: boolean): Slot {
    const slot: Slot = {
      ...identity,
      holders: new Set(),
      restingSince: this.#clock.now(),
      durable,
      writing: undefined,
    };
    this.#byId.set(slot.id, slot);
    if (!this.#byLabels.has(keyOf(slot.labels))) this.#byLabels.set(keyOf(slot.labels), slot);
    return slot;
  }

  async #holdWhenDurable(holder: string, slot: Slot): Promise<void> {
    const call = Symbol(holder);
    this.#latest.set(holder, call);
    try {
      slot.writing ??= this.#write(slot);
      await slot.writing;
      if (this.#latest.get(holder) === call) this.#hold(holder, slot);
    } finally {
      if (this.#latest.get(holder) === call) this.#latest.delete(holder);
    }
  }

  /** A failed write may have reached the disk: the number stays with its label set, and the next call writes again. */
  async #write(slot: Slot): Promise<void> {
    try {
      await this.#store.put(this.#prefix + String(slot.id), { labels: slot.labels });
      slot.durable = true;
    } finally {
      slot.writing = undefined;
    }
  }

  #hold(holder: string, slot: Slot): void {
    this.#latest.delete(holder);
    if (this.#held.get(holder) === slot) return;
    this.#letGo(holder);
    slot.holders.add(holder);
    this.#held.set(holder, slot);
  }

  #letGo(holder: string): void {
    const slot = this.#held.get(holder);
    if (slot === undefined) return;
    this.#held.delete(holder);
    slot.holders.delete(holder);
    slot.restingSince = this.#clock.now();
  }
}

function isRested(slot: Slot, before: number): boolean {
  return slot.holders.size === 0 && slot.writing === undefined && slot.restingSince <= before;
}

function keyOf(labels: string[]): string {
  return JSON.stringify(labels);
}

function readRecord(key: string, number: string, value: unknown): Identity {
  const labels = (value as { labels?: unknown } | null)?.labels;
  const id = /^\d{1,8}$/.test(number) ? Number(number) : 0;
  if (isEndpointIdentity(id) && Array.isArray(labels) && labels.every((label) => typeof label === 'string')) {
    return { id, labels: canonicalLabels(labels) };
  }
  throw new HostError('IDENTITY_RECORD_INVALID', `store entry ${key} is not an identity`, {
    hint: 'restore the state directory from a backup, or remove it with weir cleanup',
  });
}
