/**
 * Next hops of containers. In IPv4 each network has its own: the kernel takes an on-link route only once per namespace,
 * so two networks of one container cannot share one. In IPv6 a link-local one is on every link and needs no route.
 */
import { cidrContains, familyOf, HostError, parseCidr } from '../base/index.ts';
import type { Family } from '../base/index.ts';

const LINK_LOCAL = parseCidr('169.254.0.0/16');
const LINK_LOCAL6 = parseCidr('fe80::/10');
/** RFC 3927 keeps .0 and .255; clouds serve metadata from .169.254 and .170.2. */
const KEPT_BLOCKS = new Set([0, 169, 170, 255]);
const GATEWAY6 = 'fe80::1';

/** Whether every link has it, so that a container needs no route to it. */
export function isOnEveryLink(gateway: string): boolean {
  return cidrContains(LINK_LOCAL6, gateway);
}

function isUsable(address: string): boolean {
  if (!cidrContains(LINK_LOCAL, address)) return false;
  const [, , block, host] = address.split('.').map(Number);
  return block !== undefined && !KEPT_BLOCKS.has(block) && host !== 0 && host !== 255;
}

function* candidates(): Generator<string> {
  for (let block = 1; block < 255; block++) {
    for (let host = 1; host < 255 && !KEPT_BLOCKS.has(block); host++) yield `169.254.${block}.${host}`;
  }
}

function firstFree(taken: ReadonlySet<string>): string {
  for (const address of candidates()) if (!taken.has(address)) return address;
  throw new HostError('GATEWAYS_EXHAUSTED', 'every link-local gateway is taken', {
    hint: 'remove networks that are not in use',
  });
}

export interface GatewayWish {
  family: Family;
  /** By the user's --gateway or by the IPAM driver. */
  offered: string | undefined;
  pools: readonly string[];
}

/**
 * The next hop of a new network: the offered one if it lies in a pool of the network (the user's --gateway) or is a
 * link-local one that nobody has, else the first free link-local address; fe80::1 in IPv6. Undefined for a family that
 * the network does not have.
 */
export function chooseGateway(wish: GatewayWish, taken: ReadonlySet<string>): string | undefined {
  const { family, offered } = wish;
  const pools = wish.pools.map(parseCidr).filter((pool) => pool.family === family);
  if (pools.length === 0) return undefined;
  if (offered !== undefined && familyOf(offered) === family && !taken.has(offered)) {
    if (isUsable(offered) || pools.some((pool) => cidrContains(pool, offered))) return offered;
  }
  return family === 6 ? GATEWAY6 : firstFree(taken);
}
