import type { IcmpFamily } from './rule.ts';

/** Message types by the names that policies give them. A name may stand in both families, with a number in each. */
const TYPES: Readonly<Record<IcmpFamily, Readonly<Record<string, number>>>> = {
  IPv4: {
    EchoReply: 0,
    DestinationUnreachable: 3,
    Redirect: 5,
    Echo: 8,
    EchoRequest: 8,
    RouterAdvertisement: 9,
    RouterSelection: 10,
    TimeExceeded: 11,
    ParameterProblem: 12,
    Timestamp: 13,
    TimestampReply: 14,
    Photuris: 40,
    ExtendedEchoRequest: 42,
    ExtendedEchoReply: 43,
  },
  IPv6: {
    DestinationUnreachable: 1,
    PacketTooBig: 2,
    TimeExceeded: 3,
    ParameterProblem: 4,
    EchoRequest: 128,
    EchoReply: 129,
    MulticastListenerQuery: 130,
    MulticastListenerReport: 131,
    MulticastListenerDone: 132,
    RouterSolicitation: 133,
    RouterAdvertisement: 134,
    NeighborSolicitation: 135,
    NeighborAdvertisement: 136,
    RedirectMessage: 137,
    RouterRenumbering: 138,
    ICMPNodeInformationQuery: 139,
    ICMPNodeInformationResponse: 140,
    InverseNeighborDiscoverySolicitation: 141,
    InverseNeighborDiscoveryAdvertisement: 142,
    HomeAgentAddressDiscoveryRequest: 144,
    HomeAgentAddressDiscoveryReply: 145,
    MobilePrefixSolicitation: 146,
    MobilePrefixAdvertisement: 147,
    DuplicateAddressRequestCodeSuffix: 157,
    DuplicateAddressConfirmationCodeSuffix: 158,
    ExtendedEchoRequest: 160,
    ExtendedEchoReply: 161,
  },
};

const NUMBERS: Record<IcmpFamily, ReadonlyMap<string, number>> = {
  IPv4: byLowerCase(TYPES.IPv4),
  IPv6: byLowerCase(TYPES.IPv6),
};

function byLowerCase(types: Readonly<Record<string, number>>): Map<string, number> {
  return new Map(Object.entries(types).map(([name, number]) => [name.toLowerCase(), number]));
}

export const ICMP_FAMILIES: readonly IcmpFamily[] = ['IPv4', 'IPv6'];

export function icmpTypeNames(family: IcmpFamily): string[] {
  return Object.keys(TYPES[family]);
}

/** The number behind a name, whatever its case. */
export function icmpTypeNumber(family: IcmpFamily, name: string): number | undefined {
  return NUMBERS[family].get(name.toLowerCase());
}
