/**
 * What Join answers about routes. Docker fails a start with "file exists" when a route is there already, so no route is
 * given twice to one container.
 */
import { addressBytes, addressFromBytes, cidrContains, parseCidr } from '../base/index.ts';
import type { Network } from './networks.ts';

/** RouteType 0 goes by a next hop, 1 is on the link. */
export interface StaticRoute {
  Destination: string;
  RouteType: 0 | 1;
  NextHop: string;
}

/** How often a prefix may be cut in two to tell a further network's routes from those given before. */
const MOST_CUTS = 3;

/** The 2^cuts parts of an IPv4 prefix. */
function partsOf(prefix: string, cuts: number): string[] {
  const { address, length } = parseCidr(prefix);
  if (length + cuts > 32) return [];
  const first = addressBytes(address).readUInt32BE(12);
  return Array.from({ length: 2 ** cuts }, (_, index) => {
    const bytes = addressBytes(address);
    bytes.writeUInt32BE(first + index * 2 ** (32 - length - cuts), 12);
    return `${addressFromBytes(bytes)}/${length + cuts}`;
  });
}

/** The coarsest parts of a prefix that are not taken; none when even the finest are. */
function untaken(prefix: string, taken: ReadonlySet<string>, mostCuts: number): string[] {
  for (let cuts = 0; cuts <= mostCuts; cuts++) {
    const parts = partsOf(prefix, cuts);
    if (!parts.some((part) => taken.has(part))) return parts;
  }
  return [];
}

export interface RouteSetting {
  clusterCidr: string;
  /** Destinations that other endpoints of the container were given. */
  taken: ReadonlySet<string>;
  /** The prefix that the kernel takes to be on the link, where the address came with a short mask. */
  onLink?: string;
}

/**
 * Destinations that lead to weir through this network: the cluster's addresses and the network's own pools. A container
 * whose default route is not weir's needs them to answer at all. An internal network has no default route, so its
 * routes must not vanish with another network's: where they are taken it gets their halves, quarters or eighths. So
 * does a prefix that the kernel would else look for on the link, where nobody is.
 */
export function destinationsOf(network: Network, { clusterCidr, taken, onLink }: RouteSetting): string[] {
  const cluster = parseCidr(clusterCidr);
  const own = network.pools.filter((pool) => !cidrContains(cluster, parseCidr(pool)));
  const prefixes = new Set([cluster.text, ...own, ...(onLink === undefined ? [] : [onLink])]);
  const occupied = new Set([...taken, ...(onLink === undefined ? [] : [onLink])]);
  return [...prefixes].flatMap((prefix) => {
    const mostCuts = network.internal || prefix === onLink ? MOST_CUTS : 0;
    return untaken(prefix, occupied, mostCuts);
  });
}

/** The prefix that an address with a mask puts on the link; undefined for a host address. */
export function onLinkPrefix(address: string, length: number): string | undefined {
  if (length >= 32) return undefined;
  const bytes = addressBytes(address);
  const step = 2 ** (32 - length);
  bytes.writeUInt32BE(Math.floor(bytes.readUInt32BE(12) / step) * step, 12);
  return `${addressFromBytes(bytes)}/${length}`;
}

/** Routes in the form of the protocol; the gateway itself must be on the link first. */
export function staticRoutes(gateway: string, destinations: string[]): StaticRoute[] {
  return [
    { Destination: `${gateway}/32`, RouteType: 1, NextHop: '' },
    ...destinations.map((Destination): StaticRoute => ({ Destination, RouteType: 0, NextHop: gateway })),
  ];
}
