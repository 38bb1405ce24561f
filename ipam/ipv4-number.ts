/** IPv4 addresses as numbers, for counting through a pool. */
import { addressBytes, addressFromBytes, cidrSize } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';

export interface NumberRange {
  first: number;
  last: number;
}

export function numberOf(address: string): number {
  return addressBytes(address).readUInt32BE(12);
}

export function addressOf(number: number): string {
  const bytes = addressBytes('0.0.0.0');
  bytes.writeUInt32BE(number, 12);
  return addressFromBytes(bytes);
}

/** First and last address of an IPv4 prefix. */
export function rangeOf(cidr: Cidr): NumberRange {
  const first = numberOf(cidr.address);
  return { first, last: first + cidrSize(cidr) - 1 };
}
