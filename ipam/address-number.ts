/** Addresses as numbers, for counting through a pool; both families in one, as base/address.ts counts them. */
import { addressNumber, addressFromNumber, cidrSize } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';

export interface NumberRange {
  first: bigint;
  last: bigint;
}

export const numberOf = addressNumber;
export const addressOf = addressFromNumber;

/** First and last address of a prefix. */
export function rangeOf(cidr: Cidr): NumberRange {
  const first = numberOf(cidr.address);
  return { first, last: first + cidrSize(cidr) - 1n };
}

/**
 * What no host can have: in IPv4 the network's and the broadcast's address, in IPv6 the one that means any router of the
 * subnet (RFC 4291 §2.6.1).
 */
export function unassignable(cidr: Cidr): bigint[] {
  const { first, last } = rangeOf(cidr);
  return cidr.family === 4 ? [first, last] : [first];
}
