/** Which devices lead out of the host, and with which addresses; and which lead to what else runs on it. Pure. */
import { cidrContains, parseCidr } from '../base/index.ts';
import type { Family } from '../base/index.ts';
import type { InterfaceAddress, Link, Route } from '../kernel/index.ts';

export interface Uplink {
  ifindex: number;
  name: string;
  mtu: number;
  /** Of Ethernet frames, not a tunnel of bare packets. */
  framed: boolean;
  /** What masquerading uses; missing where it has none of that family. */
  ipv4?: string;
  ipv6?: string;
}

/** What the host has, as far as it matters here. */
export interface HostView {
  links: Link[];
  addresses: InterfaceAddress[];
  routes: Route[];
}

const MAIN_TABLE = 254;
const DEFAULT = { 4: '0.0.0.0/0', 6: '::/0' } as const;
const FAMILIES: readonly Family[] = [4, 6];
const UNIQUE_LOCAL = parseCidr('fc00::/7');

/** A device that is nobody's port and not weir's own. */
function isWay(link: Link): boolean {
  const isOthers = link.loopback || link.master !== undefined || link.name.startsWith('weir');
  return link.up && !isOthers;
}

/** What speaks against an address as the source towards the world; less is better. */
function drawback({ address, temporary }: InterfaceAddress): number {
  return (cidrContains(UNIQUE_LOCAL, address) ? 2 : 0) + (temporary ? 1 : 0);
}

function ownAddresses(ifindex: number, family: Family, addresses: InterfaceAddress[]): InterfaceAddress[] {
  return addresses.filter(
    (item) => item.ifindex === ifindex && item.family === family && item.scope === 'global' && item.usable,
  );
}

/**
 * Of a device's IPv6 addresses one that all the world can answer and that stays; of equal ones the one that was there
 * first, which the kernel lists last.
 */
function ipv6Of(ifindex: number, addresses: InterfaceAddress[]): string | undefined {
  const own = ownAddresses(ifindex, 6, addresses).toReversed();
  return own.toSorted((a, b) => drawback(a) - drawback(b))[0]?.address;
}

function addressesOf(ifindex: number, addresses: InterfaceAddress[]): Pick<Uplink, 'ipv4' | 'ipv6'> {
  const ipv4 = ownAddresses(ifindex, 4, addresses)[0]?.address;
  const ipv6 = ipv6Of(ifindex, addresses);
  return { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
}

/** The device of the best default route of a family. */
function defaultDevice(family: Family, routes: Route[]): number | undefined {
  const ways = routes.filter(
    ({ destination, table, type, ifindex }) =>
      destination === DEFAULT[family] && table === MAIN_TABLE && type === 'unicast' && ifindex !== undefined,
  );
  return ways.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.ifindex;
}

function deviceOf({ index, name, mtu, framed }: Link): Pick<Uplink, 'ifindex' | 'name' | 'mtu' | 'framed'> {
  return { ifindex: index, name, mtu, framed };
}

function hasAddress({ index }: Link, { addresses }: HostView): boolean {
  return Object.keys(addressesOf(index, addresses)).length > 0;
}

/** Those of the default routes first, IPv4's before IPv6's: the first says which MTU counts. */
function choose(host: HostView, names: string[]): Link[] {
  const { links, routes } = host;
  if (names.length > 0) return links.filter((link) => names.includes(link.name));
  const ways = FAMILIES.map((family) => defaultDevice(family, routes));
  const byRoute = ways.flatMap((way) => links.filter((link) => link.index === way));
  const further = links.filter((link) => isWay(link) && link.kind !== 'bridge' && hasAddress(link, host));
  return [...new Set([...byRoute, ...further])];
}

/** Those named; without names the devices of the default routes and all others that lead out of the host. */
export function uplinksOf(host: HostView, names: string[]): Uplink[] {
  return choose(host, names).map((link) => ({
    ...deviceOf(link),
    ...addressesOf(link.index, host.addresses),
  }));
}

/** Bridges that the host has an address on: containers and machines behind them may ask for published ports. */
export function bridgesOf(host: HostView): Uplink[] {
  const bridges = host.links.filter(
    (link) => isWay(link) && link.kind === 'bridge' && hasAddress(link, host),
  );
  return bridges.map(deviceOf);
}
