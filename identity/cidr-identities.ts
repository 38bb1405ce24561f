import { BugError, parseCidr } from '../base/index.ts';
import { FIRST_CIDR_IDENTITY, type Identity, isCidrIdentity } from './identity.ts';

/** The identity of an address range that policy names. */
export interface CidrIdentity extends Identity {
  cidr: string;
}

/**
 * Numbers for the address ranges that policy names: local to this host, never stored, never used twice, so an old
 * conntrack entry cannot mistake one range for another. Ranges that an earlier run left in force keep their numbers.
 */
export class CidrIdentities {
  readonly #byCidr = new Map<string, CidrIdentity>();
  #next = FIRST_CIDR_IDENTITY;

  /** `known`: the ranges and numbers that an earlier run left in the kernel; they stay what they are. */
  constructor(known: Iterable<{ cidr: string; id: number }> = []) {
    for (const { cidr, id } of known) {
      this.#byCidr.set(cidr, { id, cidr, labels: [`cidr:${cidr}`] });
      this.#next = Math.max(this.#next, id + 1);
    }
  }

  /** Makes `cidrs` the set in use: known ranges keep their number, new ones get one, the others are forgotten. */
  follow(cidrs: Iterable<string>): CidrIdentity[] {
    const wanted = new Set([...cidrs].map((cidr) => parseCidr(cidr).text));
    for (const cidr of this.#byCidr.keys()) if (!wanted.has(cidr)) this.#byCidr.delete(cidr);
    for (const cidr of wanted) if (!this.#byCidr.has(cidr)) this.#add(cidr);
    return this.list();
  }

  list(): CidrIdentity[] {
    return [...this.#byCidr.values()].toSorted((a, b) => a.id - b.id);
  }

  #add(cidr: string): void {
    const id = this.#next++;
    if (!isCidrIdentity(id)) throw new BugError('address range identities are used up');
    this.#byCidr.set(cidr, { id, cidr, labels: [`cidr:${cidr}`] });
  }
}
