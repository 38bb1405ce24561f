/** Values by IPv4 prefix, found by prefix or by an address inside. Prefixes do not overlap. */
import type { Cidr } from '../base/index.ts';
import { numberOf } from './ipv4-number.ts';

export class PrefixMap<T> {
  /** By number of addresses in the prefix, then by its first address. */
  readonly #bySize = new Map<number, Map<number, T>>();

  get({ address, length }: Cidr): T | undefined {
    return this.#bySize.get(sizeOf(length))?.get(numberOf(address));
  }

  set({ address, length }: Cidr, value: T): void {
    const size = sizeOf(length);
    const sameSize = this.#bySize.get(size) ?? new Map<number, T>();
    this.#bySize.set(size, sameSize.set(numberOf(address), value));
  }

  delete({ address, length }: Cidr): void {
    this.#bySize.get(sizeOf(length))?.delete(numberOf(address));
  }

  /** What the address lies in; a step per length of prefix, however many there are. */
  find(number: number): T | undefined {
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

function sizeOf(length: number): number {
  return 2 ** (32 - length);
}
