/** The IPv6 prefix of a cluster that names none. */
import { createHash } from 'node:crypto';
import { addressFromBytes } from '../base/index.ts';

const UNIQUE_LOCAL = 0xfd;
const GLOBAL_ID_BYTES = 5;

/**
 * A /48 of fd00::/8 (RFC 4193) whose global id is made of the cluster's name: the same on every host of the cluster and
 * after every loss of state, another one under another name.
 */
export function uniqueLocalPrefix(clusterName: string): string {
  const digest = createHash('sha256').update(`weir cluster ${clusterName}`).digest();
  const prefix = Buffer.alloc(16);
  prefix[0] = UNIQUE_LOCAL;
  digest.copy(prefix, 1, 0, GLOBAL_ID_BYTES);
  return `${addressFromBytes(prefix)}/48`;
}
