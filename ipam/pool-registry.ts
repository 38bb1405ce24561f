/** The pools of a host: the flat one on the node prefix, and one for each --subnet (`ipam/pools/<id>` in the store). */
import { BugError, UserError, cidrContains, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import type { Operation, Store } from '../kvstore/index.ts';
import type { AddressBlock } from './address-block.ts';
import type { AddressBook } from './address-book.ts';
import { addressOf, rangeOf } from './ipv4-number.ts';
import { parsePoolId } from './pool-id.ts';
import type { Pool } from './pool-id.ts';
import { parseSubnet, refuseOverlap } from './subnet.ts';

const POOLS = 'ipam/pools/';

export interface PoolRegistryOptions {
  store: Store;
  book: AddressBook;
  clusterCidr: string;
  nodePrefix: string;
  hostRoutes: () => Cidr[];
}

export class PoolRegistry {
  /** What networks without --subnet draw from. */
  readonly node: Cidr;
  readonly #cluster: Cidr;
  readonly #store: Store;
  readonly #book: AddressBook;
  readonly #hostRoutes: () => Cidr[];
  /** Pools with a subnet of their own. Flat pools need no memory: their ids say everything. */
  readonly #pools = new Map<string, Pool>();
  readonly #gateways = new Map<string, string>();

  constructor({ store, book, clusterCidr, nodePrefix, hostRoutes }: PoolRegistryOptions) {
    this.#store = store;
    this.#book = book;
    this.#hostRoutes = hostRoutes;
    this.#cluster = parseSubnet(clusterCidr);
    this.node = parseSubnet(nodePrefix);
    if (cidrContains(this.#cluster, this.node)) return;
    throw new UserError(
      'NODE_PREFIX_INVALID',
      `node prefix ${this.node.text} is not inside the cluster CIDR ${this.#cluster.text}`,
    );
  }

  get nodeAddress(): string {
    return addressOf(rangeOf(this.node).first + 1);
  }

  async load(): Promise<void> {
    this.#book.addBlock(this.node, [this.nodeAddress]);
    const apart = {
      cidr: this.node,
      what: 'the node prefix',
      hint: 'start the agent with another --cluster-cidr, or as before and remove that network first',
    };
    for (const { key, value } of await this.#store.list(POOLS)) {
      const pool = parsePoolId(key.slice(POOLS.length));
      if (pool === undefined) throw new BugError(`record ${key} of the store is not a pool`);
      refuseOverlap(pool.cidr, [apart]);
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
    yield { cidr: this.#cluster, what: "the cluster's own addresses", hint };
    for (const other of this.all()) {
      const isTwin = other.space !== pool.space && other.cidr.text === pool.cidr.text;
      if (other !== except && !isTwin) yield { cidr: other.cidr, what: 'the pool of another weir network' };
    }
    for (const cidr of this.#hostRoutes()) yield { cidr, what: 'which this host routes already' };
    const orphan = this.#book.orphanIn(pool.cidr);
    if (orphan !== undefined)
      yield { cidr: parseCidr(orphan), what: 'which a container of an earlier node prefix still has' };
  }
}
