/**
 * The parts of one family's cluster CIDR that are this host's: the node prefix, and further ones of its size, claimed one by one
 * when all before are full (`ipam/prefixes/<prefix>` in the store). What is claimed stays.
 */
import { UserError, cidrContains, cidrSize, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import type { Store } from '../kvstore/index.ts';
import { addressOf, numberOf, rangeOf } from './address-number.ts';
import type { NumberRange } from './address-number.ts';
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
  /** The host's own address, the first of the node prefix that a host can have. */
  readonly nodeAddress: string;
  readonly #store: Store;
  readonly #mine = new Map<bigint, Cidr>();
  /** First address of the highest of them. */
  #highest = 0n;
  #growing: Promise<Cidr | undefined> | undefined;

  /** Throws UserError NODE_PREFIX_INVALID. */
  constructor({ store, clusterCidr, nodePrefix }: NodePrefixesOptions) {
    this.#store = store;
    this.cluster = parseSubnet(clusterCidr);
    this.first = parseSubnet(nodePrefix);
    this.nodeAddress = addressOf(rangeOf(this.first).first + 1n);
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
    const all = keys.map((key) => ({ key, cidr: parseCidr(key.slice(PREFIXES.length)) }));
    const claims = all.filter(({ cidr }) => cidr.family === this.first.family);
    const past = claims.filter(({ cidr }) => !this.#fits(cidr));
    if (past.length > 0) await this.#store.apply(past.map(({ key }) => ({ delete: key })));
    const further = claims.map(({ cidr }) => cidr).filter((cidr) => this.#fits(cidr));
    for (const cidr of further.toSorted(byNumber)) this.#add(cidr);
  }

  /** The node prefix and the further ones. */
  all(): Cidr[] {
    return [...this.#mine.values()];
  }

  /** The next prefix that shares no address with `obstacles`, persisted; undefined if there is none. Those who ask at once get the same one. */
  claim(obstacles: NumberRange[]): Promise<Cidr | undefined> {
    this.#growing ??= this.#claim(obstacles).finally(() => (this.#growing = undefined));
    return this.#growing;
  }

  async #claim(obstacles: NumberRange[]): Promise<Cidr | undefined> {
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
    if (number > this.#highest) this.#highest = number;
  }

  #fits(cidr: Cidr): boolean {
    const isOurs = cidr.length === this.first.length && cidrContains(this.cluster, cidr);
    return isOurs && cidr.text !== this.first.text;
  }

  /** First addresses of the prefixes that nobody has, from the highest claimed on and round again. */
  *#candidates(obstacles: NumberRange[]): Generator<bigint> {
    const start = numberOf(this.cluster.address);
    const size = cidrSize(this.first);
    const count = cidrSize(this.cluster) / size;
    const from = (this.#highest - start) / size + 1n;
    for (let step = 0n; step < count; step++) {
      const number = start + ((from + step) % count) * size;
      const isTaken = obstacles.some(({ first, last }) => first < number + size && last >= number);
      if (!this.#mine.has(number) && !isTaken) yield number;
    }
  }
}

function byNumber(a: Cidr, b: Cidr): number {
  return numberOf(a.address) < numberOf(b.address) ? -1 : 1;
}
