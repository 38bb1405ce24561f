/**
 * The parts of the cluster CIDR that are this host's: the node prefix, and further ones of its size, claimed one by one
 * when all before are full (`ipam/prefixes/<prefix>` in the store). What is claimed stays.
 */
import { UserError, cidrContains, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import type { Store } from '../kvstore/index.ts';
import { addressOf, numberOf, rangeOf } from './ipv4-number.ts';
import type { NumberRange } from './ipv4-number.ts';
import { parseSubnet } from './subnet.ts';

const PREFIXES = 'ipam/prefixes/';

export interface NodePrefixesOptions {
  store: Store;
  clusterCidr: string;
  nodePrefix: string;
}

export class NodePrefixes {
  readonly cluster: Cidr;
  /** The node prefix: what Docker is told as the pool. */
  readonly first: Cidr;
  readonly #store: Store;
  readonly #mine = new Map<number, Cidr>();
  /** First address of the highest of them. */
  #highest = 0;

  /** Throws UserError NODE_PREFIX_INVALID. */
  constructor({ store, clusterCidr, nodePrefix }: NodePrefixesOptions) {
    this.#store = store;
    this.cluster = parseSubnet(clusterCidr);
    this.first = parseSubnet(nodePrefix);
    this.#add(this.first);
    if (cidrContains(this.cluster, this.first)) return;
    throw new UserError(
      'NODE_PREFIX_INVALID',
      `node prefix ${this.first.text} is not inside the cluster CIDR ${this.cluster.text}`,
    );
  }

  /** Reads what was claimed; claims that were made under another configuration are given up. */
  async load(): Promise<void> {
    const keys = (await this.#store.list(PREFIXES)).map(({ key }) => key);
    const claims = keys.map((key) => ({ key, cidr: parseCidr(key.slice(PREFIXES.length)) }));
    const past = claims.filter(({ cidr }) => !this.#fits(cidr));
    if (past.length > 0) await this.#store.apply(past.map(({ key }) => ({ delete: key })));
    const further = claims.map(({ cidr }) => cidr).filter((cidr) => this.#fits(cidr));
    for (const cidr of further.toSorted((a, b) => numberOf(a.address) - numberOf(b.address))) this.#add(cidr);
  }

  /** The node prefix and the further ones. */
  all(): Cidr[] {
    return [...this.#mine.values()];
  }

  /** The next prefix that shares no address with `obstacles`, persisted; undefined if there is none. One at a time. */
  async claim(obstacles: NumberRange[]): Promise<Cidr | undefined> {
    for (const number of this.#candidates(obstacles)) {
      const cidr = parseCidr(`${addressOf(number)}/${this.first.length}`);
      if (!(await this.#store.create(PREFIXES + cidr.text, {}))) continue;
      this.#add(cidr);
      return cidr;
    }
    return undefined;
  }

  /** Whether `claim` would find one. */
  hasNext(obstacles: NumberRange[]): boolean {
    return this.#candidates(obstacles).next().done !== true;
  }

  #add(cidr: Cidr): void {
    const number = numberOf(cidr.address);
    this.#mine.set(number, cidr);
    this.#highest = Math.max(this.#highest, number);
  }

  #fits(cidr: Cidr): boolean {
    const isOurs = cidr.length === this.first.length && cidrContains(this.cluster, cidr);
    return isOurs && cidr.text !== this.first.text;
  }

  /** First addresses of the prefixes that nobody has, from the highest claimed on and round again. */
  *#candidates(obstacles: NumberRange[]): Generator<number> {
    const { first: start, last: end } = rangeOf(this.cluster);
    const size = 2 ** (32 - this.first.length);
    const count = (end + 1 - start) / size;
    const from = (this.#highest - start) / size + 1;
    for (let step = 0; step < count; step++) {
      const number = start + ((from + step) % count) * size;
      const isTaken = obstacles.some(({ first, last }) => first < number + size && last >= number);
      if (!this.#mine.has(number) && !isTaken) yield number;
    }
  }
}
