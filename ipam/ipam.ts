/** Who gets which address: the rules of Docker's requests over pools and addresses. */
import { UserError, addressBits, cidrContains, familyOf, parseAddress, systemClock } from '../base/index.ts';
import type { Cidr, Clock, Family } from '../base/index.ts';
import type { Store } from '../kvstore/index.ts';
import type { AddressBlock } from './address-block.ts';
import { AddressBook, REST_MS } from './address-book.ts';
import { addressOf, numberOf, rangeOf } from './address-number.ts';
import { NodePrefixes } from './node-prefixes.ts';
import { PoolOwners } from './pool-owners.ts';
import { newPool, parsePoolId, parseSpace } from './pool-id.ts';
import type { Pool } from './pool-id.ts';
import { PoolRegistry, clusterFlag } from './pool-registry.ts';
import { parseRange, parseSubnet } from './subnet.ts';

/** Where one family's networks without --subnet draw from. */
interface FlatOptions {
  /** All addresses of the cluster, "10.210.0.0/16". */
  clusterCidr: string;
  /** This host's part of it, "10.210.0.0/24": the pool of networks without --subnet. When it is full, further ones of its size are claimed. */
  nodePrefix: string;
}

export interface IpamOptions extends FlatOptions {
  store: Store;
  /** The same for IPv6; missing on a host without it. */
  ipv6?: FlatOptions;
  /** Prefixes that the host routes already, weir's own left out. */
  hostRoutes?: () => Cidr[];
  /** Whether a network of weir's own driver has this subnet; without it all that ask are weir's. */
  isOfWeir?: (subnet: string) => boolean;
  clock?: Clock;
}

/** As Docker sends it; "" where the user gave nothing. */
export interface PoolRequest {
  space: string;
  subnet: string;
  range: string;
  ipv6: boolean;
}

export interface PoolGrant {
  id: string;
  cidr: string;
  /** Given with the pool ("10.210.0.1/32"): Docker then asks for none. */
  gateway?: string;
}

export interface AddressRequest {
  poolId: string;
  /** "" for any. */
  address: string;
  isGateway: boolean;
}

/** One row of `weir ipam list`. */
export interface PoolStatus {
  id: string;
  cidr: string;
  /** What Docker knows as the subnet: the node prefix also where `cidr` is a further one. */
  subnet: string;
  range: string;
  gateway: string;
  /** The next request for any address of it would be refused. */
  isFull: boolean;
  capacity: number;
  allocated: number;
  resting: number;
}

/** What Docker knows of: the subnets of its weir networks, and all addresses in use on them (gateways and auxiliary ones too). */
export interface InUse {
  subnets: string[];
  addresses: string[];
}

export class Ipam {
  readonly #book: AddressBook;
  readonly #pools: PoolRegistry;
  readonly #owners: PoolOwners;
  readonly #clock: Clock;
  /** Pools and holdings that were there at the start; only those may be stale. */
  readonly #restored = new Set<string>();
  /** Global pools and holdings that may be asked for once more. */
  readonly #replayable = new Set<string>();

  private constructor(options: IpamOptions) {
    const { store, clusterCidr, nodePrefix, ipv6, hostRoutes, clock } = options;
    this.#clock = clock ?? systemClock;
    this.#owners = new PoolOwners(options.isOfWeir);
    this.#book = new AddressBook(store, this.#clock);
    this.#pools = new PoolRegistry({
      store,
      book: this.#book,
      nodePrefixes: [{ clusterCidr, nodePrefix }, ...(ipv6 === undefined ? [] : [ipv6])].map(
        (flat) => new NodePrefixes({ store, ...flat }),
      ),
      hostRoutes: hostRoutes ?? ((): Cidr[] => []),
    });
  }

  /** Restores pools and addresses. Rejects with UserError if the configured prefixes do not fit, or meet a pool of a network made earlier. */
  static async open(options: IpamOptions): Promise<Ipam> {
    const ipam = new Ipam(options);
    await ipam.#pools.load();
    await ipam.#book.load();
    for (const { id } of ipam.#pools.all()) ipam.#restored.add(id);
    for (const { address, poolId } of ipam.addresses()) ipam.#restored.add(holding(address, poolId));
    return ipam;
  }

  /** The host's own address in its prefix, the first: what containers see the host as. Never given to a container. */
  nodeAddress(family: Family): string {
    return this.#pools.flat(family).nodeAddress;
  }

  /** Of every family that the host has, IPv4 first. */
  get nodeAddresses(): string[] {
    return this.#pools.flats().map((flat) => flat.nodeAddress);
  }

  nodePrefix(family: Family): Cidr {
    return this.#pools.flat(family).first;
  }

  /**
   * A pool under a new id. Without a subnet it is the flat one, shared by all such networks; with the node prefix as
   * subnet it is that part of it. Any other subnet belongs to one network; one whose network never got an address (a
   * creation that was cut short) is given again. Rejects with UserError and changes nothing.
   */
  async requestPool(request: PoolRequest): Promise<PoolGrant> {
    const pool = newPool(this.#parse(request));
    const grant = { id: this.#replayed(pool) ?? pool.id, cidr: pool.cidr.text };
    if (grant.id !== pool.id) return grant;
    if (!this.#pools.isFlat(pool)) {
      await this.#pools.open(pool);
      return grant;
    }
    const { family } = pool.cidr;
    this.#pools.checkFlat(family);
    this.#owners.granted(pool);
    return { ...grant, gateway: `${this.nodeAddress(family)}/${addressBits(family)}` };
  }

  /** Weir's driver has made a network on these subnets: containers may ask for their addresses. */
  claim(subnets: readonly string[]): void {
    this.#owners.claim(subnets);
  }

  /**
   * An address in the form Docker wants: a container's as a host prefix, a gateway's with the pool's own length, as are all
   * of other drivers' networks. The flat pool is on no link.
   */
  async requestAddress({ poolId, address, isGateway }: AddressRequest): Promise<string> {
    const pool = this.#pools.find(poolId);
    if (pool === undefined) throw unknownPool(poolId);
    const isFlat = this.#pools.isFlat(pool);
    if (isFlat && !isGateway && address === '') this.#owners.refuseForeign(pool);
    const granted = isGateway ? await this.#gateway(pool, address) : await this.#allocate(pool, address);
    this.#restored.delete(holding(granted, poolId));
    if (this.#pools.find(poolId) === undefined) {
      await this.#book.free(granted, pool.space, poolId); // the pool was released meanwhile
      throw unknownPool(poolId);
    }
    const isOnLink = !isFlat && (isGateway || this.#owners.isForeign(pool));
    return `${granted}/${isOnLink ? pool.cidr.length : addressBits(pool.cidr.family)}`;
  }

  /**
   * A manager of a swarm may be about to begin, after a restart or because another one failed: it then asks by name for
   * every pool and address that it has given, in the global space, where its books are the ones that count. Each is
   * granted again, once; a second request for it is refused as ever.
   */
  expectReplay(): void {
    this.#replayable.clear();
    for (const { id, space } of this.#pools.all()) if (space === 'global') this.#replayable.add(id);
    for (const { address, holders } of this.#book.held())
      if (holders.global !== undefined) this.#replayable.add(holding(address, holders.global));
  }

  /** Harmless for what is not held by that pool. */
  async releaseAddress(poolId: string, address: string): Promise<void> {
    const pool = parsePoolId(poolId);
    const freed = parseAddress(address);
    if (pool !== undefined) await this.#book.free(freed, pool.space, poolId);
  }

  /** Frees all addresses of the pool too. Harmless for a pool that is not there. */
  async releasePool(poolId: string): Promise<void> {
    const pool = parsePoolId(poolId);
    if (pool === undefined) return;
    this.#owners.released(poolId);
    await this.#pools.close(poolId, async () => {
      const mine = [...this.#book.held()].filter(({ holders }) => holders[pool.space] === poolId);
      await Promise.all(mine.map(({ address }) => this.#book.free(address, pool.space, poolId)));
    });
  }

  /** For each family the node prefix and the further prefixes of the flat pool, then the networks' own. */
  list(): PoolStatus[] {
    const own = this.#ownPools().map((pool) => ({ ...this.#status(pool, pool.cidr), id: pool.id }));
    return [...this.#pools.flats().flatMap((flat) => this.#flatStatus(flat)), ...own];
  }

  /** Addresses held. */
  addresses(): { address: string; poolId: string }[] {
    return [...this.#book.held()].flatMap(({ address, holders }) =>
      Object.values(holders).map((poolId) => ({ address, poolId })),
    );
  }

  /**
   * Releases what was allocated before this start and Docker does not know any more: networks and containers that went
   * while weir was away. Nothing that was requested since the start is touched. Answers with what was freed.
   */
  async reconcile(inUse: InUse): Promise<{ addresses: string[]; subnets: string[] }> {
    const used = new Set(inUse.addresses);
    const pools = this.#pools
      .all()
      .filter(
        ({ id, space, cidr }) =>
          this.#restored.has(id) && space === 'local' && !inUse.subnets.includes(cidr.text),
      );
    for (const { id } of pools) await this.releasePool(id);
    const gateways = new Set(this.#pools.all().map((pool) => this.#pools.gatewayOf(pool)));
    const stale = [...this.#book.held()].filter(({ address, holders }) => {
      const isOld = holders.local !== undefined && this.#restored.has(holding(address, holders.local));
      return isOld && !used.has(address) && !gateways.has(address);
    });
    await Promise.all(stale.map(({ address, holders }) => this.#book.free(address, 'local', holders.local!)));
    this.#restored.clear();
    return { addresses: stale.map(({ address }) => address), subnets: pools.map(({ cidr }) => cidr.text) };
  }

  #flatStatus(flat: NodePrefixes): PoolStatus[] {
    const { first } = flat;
    const pool: Pool = { id: first.text, space: 'local', cidr: first };
    const rows = flat.all().map((cidr) => this.#status(pool, cidr));
    const hasRoom = rows.some(({ isFull }) => !isFull) || this.#pools.canGrow(first.family);
    return rows.map((row) => ({ ...row, isFull: !hasRoom }));
  }

  /** One for each subnet: swarm's are in both spaces. */
  #ownPools(): Pool[] {
    return [...new Map(this.#pools.all().map((pool) => [pool.cidr.text, pool])).values()];
  }

  #status(pool: Pool, cidr: Cidr): PoolStatus {
    const range = pool.range ?? cidr;
    const since = this.#clock.now() - REST_MS;
    const { capacity, held, resting } = this.#pools.blockOf(pool).count(rangeOf(range), since);
    return {
      id: cidr.text,
      cidr: cidr.text,
      subnet: pool.cidr.text,
      range: range.text,
      gateway: this.#pools.gatewayOf(pool) ?? '',
      isFull: held >= capacity,
      capacity,
      allocated: held,
      resting,
    };
  }

  #parse({ space, subnet, range, ipv6 }: PoolRequest): Omit<Pool, 'id'> {
    if (subnet === '' && range !== '')
      throw new UserError('RANGE_INVALID', `IP range ${range} has no subnet`, { hint: 'give --subnet too' });
    // swarm's managers ask for IPv6 subnets without saying so
    const family = ipv6 ? 6 : subnet === '' ? 4 : familyOf(subnet);
    const { first: node } = this.#pools.flat(family);
    const cidr = subnet === '' ? node : parseSubnet(subnet);
    if (cidr.family !== family)
      throw new UserError('SUBNET_INVALID', `subnet ${cidr.text} is not an IPv6 one`);
    // with the node prefix as subnet a network stays inside it; the flat pool does not
    const isBound = subnet !== '' && range === '' && cidr.text === node.text;
    const part = isBound ? cidr : parseRange(range, cidr);
    return { space: parseSpace(space), cidr, ...(part !== undefined && { range: part }) };
  }

  /** The flat pool's gateway is the host's own address and is not allocated; a subnet's is its first address if that is free. */
  async #gateway(pool: Pool, wanted: string): Promise<string> {
    const isFlat = this.#pools.isFlat(pool);
    const own = isFlat ? this.nodeAddress(pool.cidr.family) : undefined;
    if (own !== undefined && (wanted === '' || wanted === own)) return own;
    const first = rangeOf(pool.cidr).first + 1n;
    const isFree = this.#pools.blockOf(pool).holders(first) === undefined;
    const gateway = await this.#allocate(pool, wanted === '' && isFree ? addressOf(first) : wanted);
    try {
      if (!isFlat) await this.#pools.setGateway(pool, gateway);
      return gateway;
    } catch (error) {
      await this.#book.free(gateway, pool.space, pool.id);
      throw error;
    }
  }

  async #allocate(pool: Pool, wanted: string): Promise<string> {
    const block = this.#pools.blockOf(pool);
    if (wanted !== '') return this.#allocateNamed(pool, block, this.#inside(pool, wanted));
    if (this.#pools.grows(pool)) return this.#allocateFlat(pool, block);
    const range = rangeOf(pool.range ?? pool.cidr);
    const address = await this.#book.take(block, range, pool);
    if (address === undefined) throw this.#exhausted(pool, block.count(range, 0).capacity);
    return address;
  }

  async #allocateNamed(pool: Pool, block: AddressBlock, address: string): Promise<string> {
    const holder = pool.space === 'global' ? block.holders(numberOf(address))?.global : undefined;
    if (holder !== undefined && this.#replayable.delete(holding(address, holder)))
      await this.#book.free(address, 'global', holder); // to be held by the pool of the manager that asks
    return this.#book.hold(block, address, pool);
  }

  /** The id of the global pool that a manager asks for again; flat pools have no memory, and so a new id each time. */
  #replayed({ space, cidr, range }: Pool): string | undefined {
    if (space !== 'global') return undefined;
    const isSame = (other: Pool): boolean =>
      other.space === space && other.cidr.text === cidr.text && other.range?.text === range?.text;
    return this.#pools.all().find((other) => isSame(other) && this.#replayable.delete(other.id))?.id;
  }

  /** Claims a further prefix whenever all that there are hold nothing free, not even an address that rests. */
  async #allocateFlat(pool: Pool, block: AddressBlock): Promise<string> {
    do {
      const address = await this.#book.take(block, undefined, pool);
      if (address !== undefined) return address;
    } while (await this.#pools.grow(pool.cidr.family));
    const { cluster, first: node } = this.#pools.flat(pool.cidr.family);
    const what = `all ${block.capacity} addresses of this host are in use, and cluster CIDR ${cluster.text} has no free /${node.length} for more`;
    throw new UserError('POOL_EXHAUSTED', what, {
      hint: `remove containers, create a network with a --subnet of its own, or start the agent with a larger ${clusterFlag(node.family)}`,
      retryable: true,
    });
  }

  #inside(pool: Pool, text: string): string {
    const address = parseAddress(text);
    const prefixes = this.#pools.grows(pool) ? this.#pools.flat(pool.cidr.family).all() : [pool.cidr];
    if (prefixes.some((cidr) => cidrContains(cidr, address))) return address;
    throw new UserError('ADDRESS_OUTSIDE', `address ${address} is not inside the pool ${pool.cidr.text}`);
  }

  #exhausted(pool: Pool, capacity: number): UserError {
    const { cidr, range } = pool;
    const isPart = range !== undefined && range.text !== cidr.text;
    const name = isPart ? `IP range ${range.text} of pool ${cidr.text}` : `pool ${cidr.text}`;
    const again = isPart
      ? 'with a larger --ip-range'
      : this.#pools.isFlat(pool)
        ? 'without --subnet'
        : 'with a larger --subnet';
    return new UserError('POOL_EXHAUSTED', `${name} is full: all of its ${capacity} addresses are in use`, {
      hint: `remove containers, or create the network again ${again}`,
      retryable: true,
    });
  }
}

function holding(address: string, poolId: string): string {
  return `${address} ${poolId}`;
}

function unknownPool(poolId: string): UserError {
  return new UserError('POOL_UNKNOWN', `pool ${JSON.stringify(poolId.slice(0, 100))} is not known here`, {
    hint: 'remove the network and create it again',
  });
}
