/** Values by prefix of either family, found by prefix or by an address inside. Prefixes do not overlap. */
import { cidrSize } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import { numberOf } from './address-number.ts';

export class PrefixMap<T> {
  /** By number of addresses in the prefix, then by its first address. */
  readonly #bySize = new Map<bigint, Map<bigint, T>>();

  get(cidr: Cidr): T | undefined {
    return this.#bySize.get(cidrSize(cidr))?.get(numberOf(cidr.address));
  }

  set(cidr: Cidr, value: T): void {
    const size = cidrSize(cidr);
    const sameSize = this.#bySize.get(size) ?? new Map<bigint, T>();
    this.#bySize.set(size, sameSize.set(numberOf(cidr.address), value));
  }

  delete(cidr: Cidr): void {
    this.#bySize.get(cidrSize(cidr))?.delete(numberOf(cidr.address));
  }

  /** What the address lies in; a step per length of prefix, however many there are. */
  find(number: bigint): T | undefined {
    for (const [size, sameSize] of this.#bySize) {
      const value = sameSize.get(number - (number % size));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Each value once, also where several prefixes have it. */
  values(): Set<T> {
    return new Set([...this.#bySize.values()].flatMap((sameSize) => [...sameSize.values()]));
  }
}
