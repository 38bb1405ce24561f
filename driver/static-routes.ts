/**
 * What Join answers about routes. Weir's containers live by their default route: a static route is a trap, since dockerd
 * refuses any further address of the container that lies under it ("conflicts with existing route"), and all networks of
 * weir share one address space. So there is one only where a container could not answer otherwise.
 */
import { addressBits, addressFromNumber, addressNumber } from '../base/index.ts';
import { cidrContains, cidrSize, familyOf, parseCidr, prefixAround } from '../base/index.ts';
import { isOnEveryLink } from './gateway.ts';

/** RouteType 0 goes by a next hop, 1 is on the link. */
export interface StaticRoute {
  Destination: string;
  RouteType: 0 | 1;
  NextHop: string;
}

export interface RouteSetting {
  /** Next hops of the container's families. */
  gateways: string[];
  /** All addresses that weir may give. */
  clusterCidrs: string[];
  pools: string[];
  /** Prefixes that the kernel takes to be on the link, where an address came with a short mask. */
  onLink: string[];
  /** Whether a network of another driver may hold the container's default route. */
  isMixed: boolean;
  /** Whether it is by this endpoint that such a container finds all of weir. */
  carries: boolean;
  /** The container's other addresses: dockerd refuses an address that lies under a route. */
  around: readonly string[];
  /** Destinations that other endpoints of the container were given: giving one twice fails with "file exists". */
  taken: ReadonlySet<string>;
}

/** The prefix that an address with a mask puts on the link; undefined for a host address. */
export function onLinkPrefix(address: string, length: number): string | undefined {
  return length >= addressBits(familyOf(address)) ? undefined : prefixAround(address, length).text;
}

/** Both halves of a prefix; they win over the route of the whole. */
function halvesOf(prefix: string): string[] {
  const cidr = parseCidr(prefix);
  const middle = addressFromNumber(addressNumber(cidr.address) + cidrSize(cidr) / 2n);
  return [cidr.address, middle].map((first) => `${first}/${cidr.length + 1}`);
}

/** The parts of a prefix in which none of the addresses lies. */
export function cutOut(prefix: string, addresses: readonly string[]): string[] {
  const cidr = parseCidr(prefix);
  const inside = addresses.filter((address) => cidrContains(cidr, address));
  if (inside.length === 0) return [prefix];
  if (cidr.length === addressBits(cidr.family)) return [];
  return halvesOf(prefix).flatMap((half) => cutOut(half, inside));
}

export function hostPrefix(address: string): string {
  return `${address}/${addressBits(familyOf(address))}`;
}

/**
 * Destinations beside the default routes: what the kernel would else look for on the link, where nobody is; and, for a
 * container that is on other drivers' networks too, all of weir. Before them a next hop that every link has: dockerd looks
 * for it as soon as the link is up, and the link's own route to it may come later.
 */
export function destinationsOf(setting: RouteSetting): string[] {
  const { gateways, clusterCidrs, pools, onLink, isMixed, carries, around, taken } = setting;
  const cluster = clusterCidrs.map(parseCidr);
  const isOutside = (pool: string): boolean => !cluster.some((cidr) => cidrContains(cidr, parseCidr(pool)));
  const outside = pools.filter((pool) => !onLink.includes(pool) && isOutside(pool));
  const all = carries ? cluster.flatMap(({ text }) => cutOut(text, around)) : [];
  const wanted = [...onLink.flatMap(halvesOf), ...all, ...(isMixed ? outside : [])];
  return gateways.flatMap((gateway) => {
    const family = familyOf(gateway);
    const ways = new Set(wanted.filter((destination) => parseCidr(destination).family === family));
    const own = isOnEveryLink(gateway) ? [hostPrefix(gateway)] : [];
    return [...own, ...ways].filter((destination) => !taken.has(destination));
  });
}

/** Routes in the form of the protocol; the gateways themselves must be on the link first. */
export function staticRoutes(gateways: string[], destinations: string[]): StaticRoute[] {
  const isGateway = (destination: string): boolean =>
    gateways.some((gateway) => hostPrefix(gateway) === destination);
  const gatewayTo = (destination: string): string | undefined =>
    gateways.find((gateway) => familyOf(gateway) === parseCidr(destination).family);
  const local = gateways.filter((gateway) => !isOnEveryLink(gateway)).map(hostPrefix);
  return [...new Set([...local, ...destinations])].map((Destination): StaticRoute =>
    isGateway(Destination)
      ? { Destination, RouteType: 1, NextHop: '' }
      : { Destination, RouteType: 0, NextHop: gatewayTo(Destination) ?? '' },
  );
}
