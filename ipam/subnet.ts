/** What a --subnet must be before it becomes a pool. */
import { UserError, cidrContains, cidrsOverlap, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';

/** Prefixes that no container network can be, with the reason. */
const UNUSABLE: [Cidr, string][] = [
  [parseCidr('0.0.0.0/8'), '"this network"'],
  [parseCidr('127.0.0.0/8'), 'loopback'],
  [parseCidr('169.254.0.0/16'), "link-local, where weir's gateways are"],
  [parseCidr('224.0.0.0/3'), 'multicast and reserved'],
];
/** Network and broadcast address and two to give. */
const LONGEST = 30;

/** The prefix of --subnet; throws UserError SUBNET_INVALID or IPV6_UNSUPPORTED. */
export function parseSubnet(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr.family === 6) throw ipv6Unsupported();
  const unusable = UNUSABLE.find(([prefix]) => cidrsOverlap(prefix, cidr));
  if (unusable !== undefined)
    throw new UserError('SUBNET_INVALID', `subnet ${cidr.text} overlaps ${unusable[0].text}, ${unusable[1]}`);
  if (cidr.length > LONGEST)
    throw new UserError('SUBNET_INVALID', `subnet ${cidr.text} is too small`, {
      hint: `a /${LONGEST} is the smallest`,
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

export function ipv6Unsupported(): UserError {
  return new UserError('IPV6_UNSUPPORTED', 'IPv6 is not supported yet on weir networks', {
    hint: 'create the network without --ipv6',
  });
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
