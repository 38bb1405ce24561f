/** The Docker networks that use weir, durable. Docker never tells their names to a driver: they are learnt later. */
import { HostError, UserError } from '../base/index.ts';
import type { NetworkSpec, Records } from './contract.ts';
import { chooseGateway } from './gateway.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { NetworkRequest } from './request.ts';

export interface Network {
  id: string;
  /** Missing until Docker's API told it. */
  name?: string;
  space: number;
  isolation: 'network' | 'none';
  internal: boolean;
  /** Next hop of its containers, in IPv4 no other network's on this host; missing: not of that family. */
  gateway4?: string;
  gateway6?: string;
  pools: string[];
  /** "refuse" was written before there were published ports, and nobody had chosen it. */
  ports: 'publish' | 'ignore' | 'refuse';
  mtu?: number;
  createdAt: number;
}

const PREFIX = 'networks/';
const COMMON_SPACE = 1;
const LAST_SPACE = 0xffff;

export interface NetworksOptions {
  records: Records;
  now: () => number;
  /** Addresses of the host itself: no network's next hop, whoever offers them. */
  hostAddresses?: string[];
}

export class Networks {
  readonly #hostAddresses: string[];
  readonly #records: Records;
  readonly #now: () => number;
  readonly #byId = new Map<string, Network>();
  readonly #locks = new KeyedLock();

  constructor(options: NetworksOptions) {
    this.#records = options.records;
    this.#now = options.now;
    this.#hostAddresses = options.hostAddresses ?? [];
  }

  /** Reads what was there before a restart. Once, before anything else. */
  async load(): Promise<void> {
    for (const { value } of await this.#records.list(PREFIX)) {
      const network = value as Network;
      this.#byId.set(network.id, network);
    }
  }

  /** Durable when it resolves. The same id again changes nothing. */
  create(request: NetworkRequest): Promise<Network> {
    return this.#locks.run(request.id, async () => {
      const known = this.#byId.get(request.id);
      if (known !== undefined) return known;
      const network = this.#plan(request);
      // in place before the write, so that another network created meanwhile takes neither its space nor its gateway
      this.#byId.set(network.id, network);
      try {
        await this.#persist(network);
      } catch (error) {
        this.#byId.delete(network.id);
        throw error;
      }
      return network;
    });
  }

  /** Idempotent. */
  remove(id: string): Promise<void> {
    return this.#locks.run(id, async () => {
      if (!this.#byId.has(id)) return;
      await this.#records.delete(PREFIX + id);
      this.#byId.delete(id);
    });
  }

  find(id: string): Network | undefined {
    return this.#byId.get(id);
  }

  /** Throws UserError NETWORK_UNKNOWN. */
  get(id: string): Network {
    const network = this.#byId.get(id);
    if (network !== undefined) return network;
    throw new UserError('NETWORK_UNKNOWN', `network ${id.slice(0, 12)} is not known to weir`, {
      hint: 'its state was lost; remove the network and create it again',
    });
  }

  list(): Network[] {
    return [...this.#byId.values()];
  }

  /** The space of the networks of this name; undefined if there is none. */
  spaceOf(name: string): number | undefined {
    return this.list().find((network) => network.name === name)?.space;
  }

  spec(id: string): NetworkSpec {
    const { name, space, internal, gateway4, gateway6, mtu } = this.get(id);
    const spec: NetworkSpec = { id, name: name ?? id.slice(0, 12), space, internal };
    if (gateway4 !== undefined) spec.gateway4 = gateway4;
    if (gateway6 !== undefined) spec.gateway6 = gateway6;
    if (mtu !== undefined) spec.mtu = mtu;
    return spec;
  }

  /** Takes down a network's name. Answers the ids of the networks whose name or space changed by it. */
  async learnName(id: string, name: string): Promise<string[]> {
    const network = this.#byId.get(id);
    if (network === undefined || network.name === name) return [];
    network.name = name;
    const changed = new Set([network, ...this.#shareSpace(name)]);
    await Promise.all([...changed].map((item) => this.#persist(item)));
    return [...changed].map((item) => item.id);
  }

  /** Networks of one name are one: they get one space, an isolated one where any of them is isolated. */
  #shareSpace(name: string): Network[] {
    const namesakes = this.list().filter((network) => network.name === name);
    const own = namesakes.map((network) => network.space).filter((space) => space !== COMMON_SPACE);
    const space = own.length === 0 ? COMMON_SPACE : Math.min(...own);
    const moved = namesakes.filter((network) => network.space !== space);
    for (const network of moved) network.space = space;
    return moved;
  }

  #persist(network: Network): Promise<unknown> {
    return this.#records.put(PREFIX + network.id, { ...network });
  }

  #plan({ id, internal, options, pools, gateways }: NetworkRequest): Network {
    const network: Network = {
      id,
      internal,
      pools,
      space: options.isolation === 'none' ? COMMON_SPACE : this.#freeSpace(),
      createdAt: this.#now(),
      ...options,
    };
    const taken = this.#takenGateways();
    const gateway4 = chooseGateway({ family: 4, pools, offered: gateways.ipv4 }, taken);
    const gateway6 = chooseGateway({ family: 6, pools, offered: gateways.ipv6 }, taken);
    if (gateway4 !== undefined) network.gateway4 = gateway4;
    if (gateway6 !== undefined) network.gateway6 = gateway6;
    return network;
  }

  #takenGateways(): Set<string> {
    const gateways = this.list().flatMap(({ gateway4, gateway6 }) => [gateway4, gateway6]);
    return new Set([...this.#hostAddresses, ...gateways.filter((gateway) => gateway !== undefined)]);
  }

  #freeSpace(): number {
    const taken = new Set(this.list().map((network) => network.space));
    for (let space = COMMON_SPACE + 1; space <= LAST_SPACE; space++) if (!taken.has(space)) return space;
    throw new HostError(
      'NETWORKS_EXHAUSTED',
      `this host has ${LAST_SPACE - COMMON_SPACE} weir networks already`,
    );
  }
}
