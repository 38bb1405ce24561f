/** Every subnet and address that Docker has in use, so that IPAM can tell what was lost while weir was away. */
import { parseCidr, tryAddress } from '../base/index.ts';

/** As GET /networks and /networks/ID answer, as far as it matters here. */
export interface NetworkAddresses {
  Scope?: string;
  IPAM?: { Config?: AddressConfig[] | null };
  Containers?: Record<string, { IPv4Address?: string; IPv6Address?: string }> | null;
}

interface AddressConfig {
  Subnet?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string> | null;
}

export interface AddressCensus {
  subnets: string[];
  addresses: string[];
}

function configured({ IPAM }: NetworkAddresses): AddressConfig[] {
  return IPAM?.Config ?? [];
}

/** Every host of a swarm lists its networks, also those that it has no task on and so does not have: without containers, not with none. */
function isHere({ Scope, Containers }: NetworkAddresses): boolean {
  return Scope !== 'swarm' || (Containers ?? null) !== null;
}

/** Counts too much rather than too little: whatever any network names is in use. */
export function censusOf(listed: NetworkAddresses[]): AddressCensus {
  const networks = listed.filter(isHere);
  const configs = networks.flatMap(configured);
  const containers = networks.flatMap((network) => Object.values(network.Containers ?? {}));
  const named = [
    ...configs.flatMap(({ Gateway, AuxiliaryAddresses }) => [
      Gateway,
      ...Object.values(AuxiliaryAddresses ?? {}),
    ]),
    ...containers.flatMap(({ IPv4Address, IPv6Address }) => [IPv4Address, IPv6Address]),
  ];
  return {
    subnets: configs.flatMap(({ Subnet }) => (Subnet ? [parseCidr(Subnet).text] : [])),
    addresses: named.flatMap((text) => tryAddress(text?.split('/')[0] ?? '') ?? []),
  };
}
