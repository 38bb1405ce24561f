/** Which devices lead out of the host, and with which address. Pure. */
import type { InterfaceAddress, Link, Route } from '../kernel/index.ts';

export interface Uplink {
  ifindex: number;
  name: string;
  mtu: number;
  address?: string;
}

/** What the host has, as far as it matters here. */
export interface HostView {
  links: Link[];
  addresses: InterfaceAddress[];
  routes: Route[];
}

const MAIN_TABLE = 254;
const DEFAULT = '0.0.0.0/0';

/** Devices made by container engines and by weir never lead out. */
function leadsOut(link: Link): boolean {
  const isInside = link.kind === 'bridge' || link.master !== undefined || link.name.startsWith('weir');
  return link.up && !link.loopback && !isInside;
}

function addressOf(ifindex: number, addresses: InterfaceAddress[]): string | undefined {
  return addresses.find((item) => item.ifindex === ifindex && item.family === 4 && item.scope === 'global')
    ?.address;
}

/** The device of the best default route. */
function defaultDevice(routes: Route[]): number | undefined {
  const ways = routes.filter(
    ({ destination, table, type, ifindex }) =>
      destination === DEFAULT && table === MAIN_TABLE && type === 'unicast' && ifindex !== undefined,
  );
  return ways.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.ifindex;
}

function choose({ links, addresses, routes }: HostView, names: string[]): Link[] {
  if (names.length > 0) return links.filter((link) => names.includes(link.name));
  const way = defaultDevice(routes);
  const byRoute = links.filter((link) => link.index === way);
  if (byRoute.length > 0) return byRoute;
  const candidates = links.filter((link) => leadsOut(link) && addressOf(link.index, addresses));
  return candidates.length === 1 ? candidates : [];
}

/** Those named; without names the device of the default route, or the only one that leads anywhere. */
export function uplinksOf(host: HostView, names: string[]): Uplink[] {
  return choose(host, names).map((link) => {
    const address = addressOf(link.index, host.addresses);
    const uplink = { ifindex: link.index, name: link.name, mtu: link.mtu };
    return address === undefined ? uplink : { ...uplink, address };
  });
}
