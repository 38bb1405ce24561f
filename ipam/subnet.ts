/** What a --subnet must be before it becomes a pool. */
import { UserError, addressBits, cidrContains, cidrsOverlap, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';

/** Prefixes that no container network can be, with the reason. */
const UNUSABLE: [Cidr, string][] = [
  [parseCidr('0.0.0.0/8'), '"this network"'],
  [parseCidr('127.0.0.0/8'), 'loopback'],
  [parseCidr('169.254.0.0/16'), "link-local, where weir's gateways are"],
  [parseCidr('224.0.0.0/3'), 'multicast and reserved'],
  [parseCidr('::/8'), 'loopback, mapped and translated addresses'],
  [parseCidr('fe80::/10'), "link-local, where weir's gateways are"],
  [parseCidr('ff00::/8'), 'multicast'],
];
/** Four addresses: what no host can have, and two or three to give. */
const HOST_BITS = 2;

/** The prefix of --subnet; throws UserError SUBNET_INVALID. */
export function parseSubnet(text: string): Cidr {
  const cidr = parseCidr(text);
  const unusable = UNUSABLE.find(([prefix]) => cidrsOverlap(prefix, cidr));
  if (unusable !== undefined)
    throw new UserError('SUBNET_INVALID', `subnet ${cidr.text} overlaps ${unusable[0].text}, ${unusable[1]}`);
  const longest = addressBits(cidr.family) - HOST_BITS;
  if (cidr.length > longest)
    throw new UserError('SUBNET_INVALID', `subnet ${cidr.text} is too small`, {
      hint: `a /${longest} is the smallest`,
    });
  return cidr;
}

/** The prefix of --ip-range, undefined for "". */
export function parseRange(text: string, subnet: Cidr): Cidr | undefined {
  if (text === '') return undefined;
  const range = parseCidr(text);
  if (!cidrContains(subnet, range))
    throw new UserError('RANGE_INVALID', `IP range ${range.text} is not inside the subnet ${subnet.text}`);
  return range;
}

/** Throws UserError POOL_OVERLAP if a new subnet shares addresses with what it must be apart from. */
export function refuseOverlap(
  subnet: Cidr,
  others: Iterable<{ cidr: Cidr; what: string; hint?: string }>,
): void {
  for (const { cidr, what, hint } of others) {
    if (cidr.length > 0 && cidrsOverlap(subnet, cidr)) {
      throw new UserError('POOL_OVERLAP', `${subnet.text} overlaps ${cidr.text}, ${what}`, {
        hint: hint ?? 'choose another --subnet',
      });
    }
  }
}
