/** Pool ids tell everything about a pool but its network: `local/10.77.0.0/16[/10.77.8.0/24]/<token>`. */
import { randomBytes } from 'node:crypto';
import { UserError, cidrContains, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';

/** Docker's address spaces. Swarm takes an address in the global one first, then the same one in the local one. */
export const SPACES = ['local', 'global'] as const;
export type Space = (typeof SPACES)[number];

export interface Pool {
  id: string;
  space: Space;
  cidr: Cidr;
  /** The part that addresses are taken from when none is asked for by name (--ip-range). */
  range?: Cidr;
}

export function parseSpace(text: string): Space {
  const space = SPACES.find((known) => known === text);
  if (space === undefined)
    throw new UserError(
      'BAD_REQUEST',
      `address space ${JSON.stringify(text)} is not one of ${SPACES.join(', ')}`,
    );
  return space;
}

/** A new pool with an id of its own, even if its prefix is another pool's. */
export function newPool(pool: Omit<Pool, 'id'>): Pool {
  const { space, cidr, range } = pool;
  const parts = [
    space,
    cidr.text,
    ...(range === undefined ? [] : [range.text]),
    randomBytes(6).toString('hex'),
  ];
  return { ...pool, id: parts.join('/') };
}

/** Undefined for what `newPool` did not make. */
export function parsePoolId(id: string): Pool | undefined {
  const match = /^(local|global)\/([^/]+\/\d+)(?:\/([^/]+\/\d+))?\/[0-9a-f]{12}$/.exec(id);
  if (match === null) return undefined;
  const [, space, prefix, part] = match;
  try {
    const cidr = parseCidr(prefix!);
    if (part === undefined) return { id, space: parseSpace(space!), cidr };
    const range = parseCidr(part);
    return cidrContains(cidr, range) ? { id, space: parseSpace(space!), cidr, range } : undefined;
  } catch {
    return undefined;
  }
}
