/**
 * For whom a pool is. Docker lets a network of any driver draw from weir's IPAM and never says which driver it has; but
 * weir's own driver hears of its networks, after their pools were granted and before any container asks for an address.
 */
import { UserError } from '../base/index.ts';
import type { Pool } from './pool-id.ts';

export class PoolOwners {
  readonly #isOfWeir: ((subnet: string) => boolean) | undefined;
  /** Flat pools of networks that weir's driver has not made, or not yet. */
  readonly #undecided = new Set<string>();

  /** `isOfWeir`: whether a network of weir has this subnet; without it nobody else is expected to ask. */
  constructor(isOfWeir: ((subnet: string) => boolean) | undefined) {
    this.#isOfWeir = isOfWeir;
  }

  /** A flat pool was granted. What a swarm's manager takes is given by the nodes' drivers. */
  granted({ id, space }: Pool): void {
    if (this.#isOfWeir !== undefined && space === 'local') this.#undecided.add(id);
  }

  /** Weir's driver has made a network on these subnets. */
  claim(subnets: readonly string[]): void {
    for (const id of this.#undecided)
      if (subnets.some((subnet) => id.startsWith(`local/${subnet}/`))) this.#undecided.delete(id);
  }

  released(poolId: string): void {
    this.#undecided.delete(poolId);
  }

  /** Whether the network with this subnet of its own is another driver's. */
  isForeign({ space, cidr }: Pool): boolean {
    return space === 'local' && this.#isOfWeir?.(cidr.text) === false;
  }

  /** Other drivers want one link for all addresses of a network, which weir's flat pool is not. Throws UserError POOL_FOREIGN. */
  refuseForeign({ id, cidr }: Pool): void {
    if (!this.#undecided.has(id)) return;
    throw new UserError(
      'POOL_FOREIGN',
      `${cidr.text} is for weir networks, and this one has another driver`,
      {
        hint: 'create it with --driver weir, or with a --subnet of its own, or without --ipam-driver weir',
      },
    );
  }
}
