/** MAC addresses of containers that asked for none. */
import { addressBytes } from '../base/index.ts';

/**
 * Locally administered, unicast, made of the last four bytes of an address: a container that keeps its address keeps its
 * neighbours' caches right.
 */
export function macOfAddress(address: string): string {
  const bytes = [...addressBytes(address).subarray(12)].map((byte) => byte.toString(16).padStart(2, '0'));
  return ['02', '77', ...bytes].join(':');
}
