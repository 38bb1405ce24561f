/** The pools of a host: for each family the flat one on the node's prefixes, and one for each --subnet (`ipam/pools/<id>` in the store). */
import { BugError, HostError, parseCidr } from '../base/index.ts';
import type { Cidr, Family } from '../base/index.ts';
import type { Operation, Store } from '../kvstore/index.ts';
import type { AddressBlock } from './address-block.ts';
import type { AddressBook } from './address-book.ts';
import { addressOf, rangeOf } from './address-number.ts';
import type { NumberRange } from './address-number.ts';
import type { NodePrefixes } from './node-prefixes.ts';
import { parsePoolId } from './pool-id.ts';
import type { Pool } from './pool-id.ts';
import { refuseOverlap } from './subnet.ts';

const POOLS = 'ipam/pools/';

export interface PoolRegistryOptions {
  store: Store;
  book: AddressBook;
  /** IPv4 first; a family that is missing is one that the host does not have. */
  nodePrefixes: NodePrefixes[];
  hostRoutes: () => Cidr[];
}

export class PoolRegistry {
  readonly #prefixes: NodePrefixes[];
  readonly #store: Store;
  readonly #book: AddressBook;
  readonly #hostRoutes: () => Cidr[];
  /** Pools with a subnet of their own. Flat pools need no memory: their ids say everything. */
  readonly #pools = new Map<string, Pool>();
  readonly #gateways = new Map<string, string>();

  constructor({ store, book, nodePrefixes, hostRoutes }: PoolRegistryOptions) {
    this.#store = store;
    this.#book = book;
    this.#hostRoutes = hostRoutes;
    this.#prefixes = nodePrefixes;
  }

  /** What networks of a family without --subnet draw from. Throws HostError IPV6_UNAVAILABLE. */
  flat(family: Family): NodePrefixes {
    const found = this.#prefixes.find(({ first }) => first.family === family);
    if (found !== undefined) return found;
    throw new HostError('IPV6_UNAVAILABLE', 'this host has no IPv6', {
      hint: 'create the network without --ipv6, or boot the host without ipv6.disable=1 and start the agent again',
    });
  }

  /** Those of the families that the host has. */
  flats(): readonly NodePrefixes[] {
    return this.#prefixes;
  }

  async load(): Promise<void> {
    for (const prefixes of this.#prefixes) {
      await prefixes.load();
      const [node, ...further] = prefixes.all();
      const flat = this.#book.addBlock(node!, [prefixes.nodeAddress]);
      for (const prefix of further) this.#book.extendBlock(flat, prefix);
    }
    const hint = 'start the agent with another --cluster-cidr, or as before and remove that network first';
    const apart = this.#prefixes
      .flatMap((prefixes) => prefixes.all())
      .map((cidr) => ({ cidr, what: 'a prefix of this node', hint }));
    for (const { key, value } of await this.#store.list(POOLS)) {
      const pool = parsePoolId(key.slice(POOLS.length));
      if (pool === undefined) throw new BugError(`record ${key} of the store is not a pool`);
      refuseOverlap(pool.cidr, apart);
      this.#pools.set(pool.id, pool);
      this.#book.addBlock(pool.cidr);
      const { gateway } = value as { gateway?: string };
      if (gateway !== undefined) this.#gateways.set(pool.id, gateway);
    }
  }

  /** Pools with a subnet of their own. */
  all(): Pool[] {
    return [...this.#pools.values()];
  }

  isFlat(pool: Pool): boolean {
    return this.#prefixes.some(({ first }) => first.text === pool.cidr.text);
  }

  /** Undefined for an id that no network here can have. */
  find(poolId: string): Pool | undefined {
    const known = this.#pools.get(poolId);
    if (known !== undefined) return known;
    const pool = parsePoolId(poolId);
    return pool !== undefined && this.isFlat(pool) ? pool : undefined;
  }

  /** Whether the pool may have more than the prefix that Docker knows. What swarm's managers give must lie inside that. */
  grows(pool: Pool): boolean {
    return this.isFlat(pool) && pool.range === undefined && pool.space === 'local';
  }

  /** Claims a further prefix for the flat pool of a family, persisted; false if its cluster CIDR has none that is free. */
  async grow(family: Family): Promise<boolean> {
    const flat = this.flat(family);
    const prefix = await flat.claim(this.#obstacles(family));
    const block = this.#book.block(flat.first)!;
    // of those who asked at once the first extends the block
    if (prefix !== undefined && this.#book.block(prefix) !== block) this.#book.extendBlock(block, prefix);
    return prefix !== undefined;
  }

  /** Whether there is a prefix left to claim. */
  canGrow(family: Family): boolean {
    return this.flat(family).hasNext(this.#obstacles(family));
  }

  blockOf(pool: Pool): AddressBlock {
    const block = this.#book.block(pool.cidr);
    if (block === undefined) throw new BugError(`pool ${pool.id} has no addresses`);
    return block;
  }

  gatewayOf(pool: Pool): string | undefined {
    return this.isFlat(pool) ? this.flat(pool.cidr.family).nodeAddress : this.#gateways.get(pool.id);
  }

  async setGateway(pool: Pool, gateway: string): Promise<void> {
    if (!this.#pools.has(pool.id)) return; // released meanwhile
    await this.#store.put(POOLS + pool.id, { gateway });
    this.#gateways.set(pool.id, gateway);
  }

  /** Throws UserError POOL_OVERLAP if Docker would never accept the node prefix. */
  checkFlat(family: Family): void {
    const hint = `start the agent with another ${clusterFlag(family)}`;
    refuseOverlap(
      this.flat(family).first,
      this.#hostRoutes().map((cidr) => ({ cidr, what: 'which this host routes already', hint })),
    );
  }

  /** Adds a pool, persisted; in the place of one of that prefix whose network never got an address. Rejects with UserError POOL_OVERLAP. */
  async open(pool: Pool): Promise<void> {
    const unused = this.all().find((other) => this.#isUnfinished(other, pool));
    refuseOverlap(pool.cidr, this.#neighbours(pool, unused));
    this.#pools.set(pool.id, pool);
    this.#book.addBlock(pool.cidr);
    if (unused !== undefined) this.#pools.delete(unused.id);
    try {
      await this.#store.apply([
        { put: POOLS + pool.id, value: {} },
        ...(unused === undefined ? [] : [{ delete: POOLS + unused.id }]),
      ]);
    } catch (error) {
      this.#pools.delete(pool.id);
      if (unused !== undefined) this.#pools.set(unused.id, unused);
      else if (!this.#isShared(pool.cidr)) this.#book.dropBlock(pool.cidr);
      throw error;
    }
  }

  /** Removes a pool once `free` has freed its addresses; meanwhile it gives none. Nothing happens if it is not there. */
  async close(poolId: string, free: () => Promise<void>): Promise<void> {
    const pool = this.#pools.get(poolId);
    this.#pools.delete(poolId);
    try {
      await free();
      if (pool !== undefined) await this.#remove(pool);
    } catch (error) {
      if (pool !== undefined) this.#pools.set(poolId, pool);
      throw error;
    }
  }

  /** Where no further prefix can be. */
  #obstacles(family: Family): NumberRange[] {
    const ofOthers = [...this.all().map(({ cidr }) => cidr), ...this.#hostRoutes()];
    const ranges = ofOthers.filter((cidr) => cidr.family === family && cidr.length > 0).map(rangeOf);
    return [...ranges, ...this.#book.orphans().map((number) => ({ first: number, last: number }))];
  }

  async #remove({ id, cidr }: Pool): Promise<void> {
    const left: Operation[] = this.#isShared(cidr) ? [] : this.#book.restRecords(cidr);
    await this.#store.apply([{ delete: POOLS + id }, ...left]);
    this.#gateways.delete(id);
    if (!this.#isShared(cidr)) this.#book.dropBlock(cidr);
  }

  #isShared(cidr: Cidr): boolean {
    return this.all().some((other) => other.cidr.text === cidr.text);
  }

  #isUnfinished(other: Pool, pool: Pool): boolean {
    if (other.space !== pool.space || other.cidr.text !== pool.cidr.text) return false;
    return this.blockOf(other).heldBy(other.id).next().done === true;
  }

  /** What a new subnet may not overlap. The same prefix in the other address space is the same pool. */
  *#neighbours(pool: Pool, except: Pool | undefined): Generator<{ cidr: Cidr; what: string; hint?: string }> {
    const { cluster, first } = this.flat(pool.cidr.family);
    const hint = `choose a --subnet outside of it, or leave --subnet away to draw from ${first.text}`;
    yield { cidr: cluster, what: "the cluster's own addresses", hint };
    for (const other of this.all()) {
      const isTwin = other.space !== pool.space && other.cidr.text === pool.cidr.text;
      if (other !== except && !isTwin) yield { cidr: other.cidr, what: 'the pool of another weir network' };
    }
    for (const cidr of this.#hostRoutes()) yield { cidr, what: 'which this host routes already' };
    for (const number of this.#book.orphans())
      yield {
        cidr: parseCidr(addressOf(number)),
        what: 'which a container of an earlier node prefix still has',
      };
  }
}

/** The agent's flag that names the cluster CIDR of a family. */
export function clusterFlag(family: Family): string {
  return family === 4 ? '--cluster-cidr' : '--cluster-cidr6';
}
