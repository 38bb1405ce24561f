/**
 * What Join answers about routes. Weir's containers live by their default route: a static route is a trap, since dockerd
 * refuses any further address of the container that lies under it ("conflicts with existing route"), and all networks of
 * weir share one address space. So there is one only where a container could not answer otherwise.
 */
import { addressBytes, addressFromBytes, cidrContains, parseCidr } from '../base/index.ts';

/** RouteType 0 goes by a next hop, 1 is on the link. */
export interface StaticRoute {
  Destination: string;
  RouteType: 0 | 1;
  NextHop: string;
}

export interface RouteSetting {
  /** All addresses that weir may give. */
  clusterCidr: string;
  pools: string[];
  /** The prefix that the kernel takes to be on the link, where the address came with a short mask. */
  onLink?: string;
  /** Whether this is the container's only weir network, and one of another driver may hold its default route. */
  isMixed: boolean;
  /** Destinations that other endpoints of the container were given: giving one twice fails with "file exists". */
  taken: ReadonlySet<string>;
}

/** The IPv4 prefix of this length at an address. */
function prefixAt(first: number, length: number): string {
  const bytes = addressBytes('0.0.0.0');
  bytes.writeUInt32BE(first, 12);
  return `${addressFromBytes(bytes)}/${length}`;
}

function firstOf(address: string, length: number): number {
  const step = 2 ** (32 - length);
  return Math.floor(addressBytes(address).readUInt32BE(12) / step) * step;
}

/** The prefix that an address with a mask puts on the link; undefined for a host address. */
export function onLinkPrefix(address: string, length: number): string | undefined {
  return length >= 32 ? undefined : prefixAt(firstOf(address, length), length);
}

/** Both halves of an IPv4 prefix; they win over the route of the whole. */
function halvesOf(prefix: string): string[] {
  const { address, length } = parseCidr(prefix);
  const first = firstOf(address, length);
  return [prefixAt(first, length + 1), prefixAt(first + 2 ** (31 - length), length + 1)];
}

/**
 * Destinations beside the default route: what the kernel would else look for on the link, where nobody is; and, for a
 * container that is on other drivers' networks too, all of weir.
 */
export function destinationsOf({ clusterCidr, pools, onLink, isMixed, taken }: RouteSetting): string[] {
  const cluster = parseCidr(clusterCidr);
  const outside = pools.filter((pool) => pool !== onLink && !cidrContains(cluster, parseCidr(pool)));
  const ofWeir = isMixed ? [cluster.text, ...outside] : [];
  const local = onLink === undefined ? [] : halvesOf(onLink);
  return [...new Set([...local, ...ofWeir])].filter((destination) => !taken.has(destination));
}

/** Routes in the form of the protocol; the gateway itself must be on the link first. */
export function staticRoutes(gateway: string, destinations: string[]): StaticRoute[] {
  return [
    { Destination: `${gateway}/32`, RouteType: 1, NextHop: '' },
    ...destinations.map((Destination): StaticRoute => ({ Destination, RouteType: 0, NextHop: gateway })),
  ];
}
