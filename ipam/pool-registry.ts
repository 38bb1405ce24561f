/** The pools of a host: the flat one on the node's prefixes, and one for each --subnet (`ipam/pools/<id>` in the store). */
import { BugError, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import type { Operation, Store } from '../kvstore/index.ts';
import type { AddressBlock } from './address-block.ts';
import type { AddressBook } from './address-book.ts';
import { addressOf, rangeOf } from './ipv4-number.ts';
import type { NumberRange } from './ipv4-number.ts';
import { NodePrefixes } from './node-prefixes.ts';
import { parsePoolId } from './pool-id.ts';
import type { Pool } from './pool-id.ts';
import { refuseOverlap } from './subnet.ts';

const POOLS = 'ipam/pools/';

export interface PoolRegistryOptions {
  store: Store;
  book: AddressBook;
  clusterCidr: string;
  nodePrefix: string;
  hostRoutes: () => Cidr[];
}

export class PoolRegistry {
  readonly #prefixes: NodePrefixes;
  readonly #store: Store;
  readonly #book: AddressBook;
  readonly #hostRoutes: () => Cidr[];
  /** Pools with a subnet of their own. Flat pools need no memory: their ids say everything. */
  readonly #pools = new Map<string, Pool>();
  readonly #gateways = new Map<string, string>();
  #growing: Promise<boolean> | undefined;

  constructor({ store, book, clusterCidr, nodePrefix, hostRoutes }: PoolRegistryOptions) {
    this.#store = store;
    this.#book = book;
    this.#hostRoutes = hostRoutes;
    this.#prefixes = new NodePrefixes({ store, clusterCidr, nodePrefix });
  }

  get cluster(): Cidr {
    return this.#prefixes.cluster;
  }

  /** What networks without --subnet draw from, as Docker knows it. */
  get node(): Cidr {
    return this.#prefixes.first;
  }

  /** All that networks without --subnet draw from. */
  get nodePrefixes(): Cidr[] {
    return this.#prefixes.all();
  }

  get nodeAddress(): string {
    return addressOf(rangeOf(this.node).first + 1);
  }

  async load(): Promise<void> {
    await this.#prefixes.load();
    const [node, ...further] = this.nodePrefixes;
    const flat = this.#book.addBlock(node!, [this.nodeAddress]);
    for (const prefix of further) this.#book.extendBlock(flat, prefix);
    const hint = 'start the agent with another --cluster-cidr, or as before and remove that network first';
    const apart = this.nodePrefixes.map((cidr) => ({ cidr, what: 'a prefix of this node', hint }));
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
    return pool.cidr.text === this.node.text;
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

  /** Claims a further prefix for the flat pool, persisted; false if the cluster CIDR has none that is free. */
  grow(): Promise<boolean> {
    this.#growing ??= this.#claim().finally(() => (this.#growing = undefined));
    return this.#growing;
  }

  /** Whether there is a prefix left to claim. */
  canGrow(): boolean {
    return this.#prefixes.hasNext(this.#obstacles());
  }

  blockOf(pool: Pool): AddressBlock {
    const block = this.#book.block(pool.cidr);
    if (block === undefined) throw new BugError(`pool ${pool.id} has no addresses`);
    return block;
  }

  gatewayOf(pool: Pool): string | undefined {
    return this.isFlat(pool) ? this.nodeAddress : this.#gateways.get(pool.id);
  }

  async setGateway(pool: Pool, gateway: string): Promise<void> {
    if (!this.#pools.has(pool.id)) return; // released meanwhile
    await this.#store.put(POOLS + pool.id, { gateway });
    this.#gateways.set(pool.id, gateway);
  }

  /** Throws UserError POOL_OVERLAP if Docker would never accept the node prefix. */
  checkFlat(): void {
    const hint = 'start the agent with another --cluster-cidr';
    refuseOverlap(
      this.node,
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

  async #claim(): Promise<boolean> {
    const prefix = await this.#prefixes.claim(this.#obstacles());
    if (prefix !== undefined) this.#book.extendBlock(this.#book.block(this.node)!, prefix);
    return prefix !== undefined;
  }

  /** Where no further prefix can be. */
  #obstacles(): NumberRange[] {
    const ofOthers = [...this.all().map(({ cidr }) => cidr), ...this.#hostRoutes()];
    const ranges = ofOthers.filter(({ family, length }) => family === 4 && length > 0).map(rangeOf);
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
    const hint = `choose a --subnet outside of it, or leave --subnet away to draw from ${this.node.text}`;
    yield { cidr: this.cluster, what: "the cluster's own addresses", hint };
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
