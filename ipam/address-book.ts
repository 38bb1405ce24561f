/**
 * All blocks of a host and their persistence: an address is held or freed when the store says so. One record per address
 * in use (`ipam/addresses/<address>`) and per address freed within the rest; one per pool with a subnet of its own.
 */
import { BugError, UserError, tryAddress } from '../base/index.ts';
import type { Cidr, Clock } from '../base/index.ts';
import type { Operation, Store } from '../kvstore/index.ts';
import { AddressBlock } from './address-block.ts';
import type { Holders } from './address-block.ts';
import { addressOf, numberOf, rangeOf, unassignable } from './address-number.ts';
import type { NumberRange } from './address-number.ts';
import type { Pool, Space } from './pool-id.ts';
import { PrefixMap } from './prefix-map.ts';

const ADDRESSES = 'ipam/addresses/';
/** How long a freed address is kept back while there are others. */
export const REST_MS = 30_000;
/** Records of finished rests that one write takes along. */
const EXPIRED_PER_WRITE = 16;

type AddressRecord = Holders & { freedAt?: number };

export class AddressBook {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #blocks = new PrefixMap<AddressBlock>();
  /** Held under a prefix that is no pool any more: nobody may get them, their holders may free them. */
  readonly #orphans = new Map<bigint, Holders>();
  /** Records of rests: when each address was freed, oldest first. */
  readonly #rests = new Map<bigint, number>();
  readonly #freeing = new Map<bigint, Promise<boolean>>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Fills the blocks with what the store holds; once, after the blocks are added. */
  async load(): Promise<void> {
    const records = (await this.#store.list(ADDRESSES)).map(({ key, value }) => parseRecord(key, value));
    const rests = records
      .filter(({ freedAt }) => freedAt !== undefined)
      .toSorted((a, b) => a.freedAt! - b.freedAt!);
    for (const { number, holders } of records) this.#restoreHolders(number, holders);
    for (const { number, freedAt } of rests) {
      this.#rests.set(number, freedAt!);
      this.#blockOf(number)?.restore(number, freedAt!);
    }
  }

  block(cidr: Cidr): AddressBlock | undefined {
    return this.#blocks.get(cidr);
  }

  /** A block for the prefix, if there is none; what no host can have and `reserved` are never given. */
  addBlock(cidr: Cidr, reserved: string[] = []): AddressBlock {
    const block =
      this.block(cidr) ?? new AddressBlock(rangeOf(cidr), [...unassignable(cidr), ...reserved.map(numberOf)]);
    this.#blocks.set(cidr, block);
    return block;
  }

  /** Adds a further prefix to a block, which gives its addresses too. */
  extendBlock(block: AddressBlock, further: Cidr): void {
    block.extend(rangeOf(further), unassignable(further));
    this.#blocks.set(further, block);
  }

  /** Forgets a block that nobody holds an address of. */
  dropBlock(cidr: Cidr): void {
    for (const number of this.#restsIn(cidr)) this.#rests.delete(number);
    this.#blocks.delete(cidr);
  }

  /** What a block that is about to be dropped leaves in the store. */
  restRecords(cidr: Cidr): Operation[] {
    return this.#restsIn(cidr).map((number) => ({ delete: keyOf(number) }));
  }

  /** Addresses that are held under a prefix of the past. */
  orphans(): bigint[] {
    return [...this.#orphans.keys()];
  }

  /** Every address held, with its pool ids. */
  *held(): Generator<{ address: string; holders: Holders }> {
    for (const block of this.#blocks.values())
      for (const [number, holders] of block.heldBy()) yield { address: addressOf(number), holders };
    for (const [number, holders] of this.#orphans) yield { address: addressOf(number), holders };
  }

  /** The next free address of a range, or of all of the block, persisted; undefined if there is none. */
  async take(block: AddressBlock, range: NumberRange | undefined, pool: Pool): Promise<string | undefined> {
    const number = block.take(range, pool.space, pool.id);
    return number === undefined ? undefined : this.#persistHold(block, number, pool);
  }

  /** This very address, persisted; rejects with UserError ADDRESS_IN_USE or ADDRESS_RESERVED. */
  async hold(block: AddressBlock, address: string, pool: Pool): Promise<string> {
    const number = numberOf(address);
    await this.#freeing.get(number)?.catch(() => undefined);
    if (block.isReserved(number)) {
      throw new UserError(
        'ADDRESS_RESERVED',
        `address ${address} of ${pool.cidr.text} is the network's, the broadcast's or the host's own`,
      );
    }
    if (block.holders(number)?.[pool.space] !== undefined)
      throw new UserError('ADDRESS_IN_USE', `address ${address} is in use`);
    block.hold(number, pool.space, pool.id);
    return this.#persistHold(block, number, pool);
  }

  /** Frees an address, persisted; false, and nothing done, if that pool does not hold it. */
  async free(address: string, space: Space, poolId: string): Promise<boolean> {
    const number = numberOf(address);
    const underWay = this.#freeing.get(number);
    if (underWay !== undefined) return underWay;
    if (this.#holdersOf(number)?.[space] !== poolId) return false;
    const freeing = this.#free(number, space).finally(() => this.#freeing.delete(number));
    this.#freeing.set(number, freeing);
    return freeing;
  }

  async #free(number: bigint, space: Space): Promise<boolean> {
    const { [space]: _freed, ...others } = this.#holdersOf(number) ?? {};
    const freedAt = this.#clock.now();
    const rests = Object.keys(others).length === 0;
    await this.#store.apply([
      { put: keyOf(number), value: rests ? { freedAt } : others },
      ...this.#expired(),
    ]);
    const block = this.#blockOf(number);
    block?.free(number, space, freedAt);
    if (block === undefined && rests) this.#orphans.delete(number);
    else if (block === undefined) this.#orphans.set(number, others);
    if (rests) this.#rests.set(number, freedAt);
    return true;
  }

  async #persistHold(block: AddressBlock, number: bigint, pool: Pool): Promise<string> {
    try {
      await this.#store.apply([{ put: keyOf(number), value: block.holders(number) }, ...this.#expired()]);
      this.#rests.delete(number);
    } catch (error) {
      block.undo(number, pool.space);
      throw error;
    }
    return addressOf(number);
  }

  /** Records of rests that are over; left for the next start if the write fails. */
  #expired(): Operation[] {
    const operations: Operation[] = [];
    const before = this.#clock.now() - REST_MS;
    for (const [number, freedAt] of this.#rests) {
      if (freedAt > before || operations.length === EXPIRED_PER_WRITE) break;
      if (this.#holdersOf(number) !== undefined) continue; // about to be overwritten
      this.#rests.delete(number);
      operations.push({ delete: keyOf(number) });
    }
    return operations;
  }

  #restsIn(cidr: Cidr): bigint[] {
    const { first, last } = rangeOf(cidr);
    return [...this.#rests.keys()].filter((number) => number >= first && number <= last);
  }

  #restoreHolders(number: bigint, holders: Holders): void {
    const block = this.#blockOf(number);
    for (const [space, poolId] of Object.entries(holders) as [Space, string][]) {
      if (block === undefined) this.#orphans.set(number, { ...this.#orphans.get(number), [space]: poolId });
      else block.hold(number, space, poolId);
    }
  }

  #holdersOf(number: bigint): Holders | undefined {
    return this.#blockOf(number)?.holders(number) ?? this.#orphans.get(number);
  }

  #blockOf(number: bigint): AddressBlock | undefined {
    return this.#blocks.find(number);
  }
}

function keyOf(number: bigint): string {
  return `${ADDRESSES}${addressOf(number)}`;
}

function parseRecord(
  key: string,
  value: unknown,
): { number: bigint; holders: Holders; freedAt: number | undefined } {
  const address = tryAddress(key.slice(ADDRESSES.length));
  if (address === undefined || typeof value !== 'object' || value === null)
    throw new BugError(`record ${key} of the store is not an address`);
  const { freedAt, ...holders } = value as AddressRecord;
  return { number: numberOf(address), holders, freedAt };
}
