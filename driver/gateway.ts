/**
 * Next hops of containers. Each network has its own: the kernel takes an on-link route only once per namespace, so two
 * networks of one container cannot share one.
 */
import { cidrContains, HostError, parseCidr } from '../base/index.ts';

const LINK_LOCAL = parseCidr('169.254.0.0/16');
/** RFC 3927 keeps .0 and .255; clouds serve metadata from .169.254 and .170.2. */
const KEPT_BLOCKS = new Set([0, 169, 170, 255]);

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

/**
 * The next hop of a new network: the offered one if it lies in a pool of the network (the user's --gateway) or is a
 * link-local one that nobody has, else the first free link-local address.
 */
export function chooseGateway(
  offered: string | undefined,
  pools: string[],
  taken: ReadonlySet<string>,
): string {
  if (offered !== undefined && !taken.has(offered)) {
    if (isUsable(offered) || pools.some((pool) => cidrContains(parseCidr(pool), offered))) return offered;
  }
  for (const address of candidates()) if (!taken.has(address)) return address;
  throw new HostError('GATEWAYS_EXHAUSTED', 'every link-local gateway is taken', {
    hint: 'remove networks that are not in use',
  });
}
