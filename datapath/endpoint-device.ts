/** The veth pair of an endpoint: made with its programs, opened to traffic, taken away with its routes and links. */
import { addressBits, familyOf } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import type { DatapathObject } from '../bpf/index.ts';
import { readSysctl, writeSysctl } from '../kernel/index.ts';
import type { Link, Netlink } from '../kernel/index.ts';
import { EndpointPrograms } from './endpoint-programs.ts';
import type { Device } from './endpoint-programs.ts';
import { ROUTE_TABLE } from './host-device.ts';

const NAME = /^weir\d+$/;

export interface EndpointDevicesOptions {
  netlink: Netlink;
  object: DatapathObject;
  tcx: boolean;
  /** Preferred sources of what the host sends to containers, one of each family that it has. */
  nodeAddresses: string[];
  log: Log;
}

/** Where an endpoint is reached. */
export interface Place {
  ifindex: number;
  /** At most one of each family. */
  addresses: readonly string[];
  mac: string;
}

function hostPrefix(address: string): string {
  return `${address}/${addressBits(familyOf(address))}`;
}

export class EndpointDevices {
  readonly #options: EndpointDevicesOptions;
  readonly #programs: EndpointPrograms;

  constructor(options: EndpointDevicesOptions) {
    this.#options = options;
    this.#programs = new EndpointPrograms(options);
  }

  /** Index of the host side of a new pair; both ends are down. */
  create(pair: { name: string; peer: string; mac: string; peerMac: string; mtu: number }): number {
    return this.#options.netlink.createVeth({ ...pair, withoutLinkLocal: true }).index;
  }

  /** The host side that an earlier process made. */
  find(name: string): Link | undefined {
    const link = this.#options.netlink.link(name);
    return link?.kind === 'veth' ? link : undefined;
  }

  isTaken(name: string): boolean {
    return this.#options.netlink.link(name) !== undefined;
  }

  /** Programs on, in place of those of an earlier process, and the host's own behaviour on the device. */
  async attach(device: Device, addresses: readonly string[]): Promise<void> {
    await this.#programs.attach(device);
    const settings = `net.ipv4.conf.${device.name}`;
    // replies may leave by any interface of a container, so the strict check would eat them
    writeSysctl(`${settings}.rp_filter`, '2');
    writeSysctl(`${settings}.forwarding`, '1');
    setUpIpv6(
      device.name,
      addresses.some((address) => familyOf(address) === 6),
    );
  }

  /** Lets traffic pass, as far as programs and maps do. Idempotent. */
  open({ ifindex, addresses, mac }: Place): void {
    const { netlink } = this.#options;
    netlink.setLinkUp(ifindex);
    for (const address of addresses) {
      netlink.addNeighbour({ ifindex, address, mac });
      netlink.addRoute({ ...this.#sourceFor(address), ...wayTo(address, ifindex), scope: 'link' });
    }
  }

  /** Opens again those of `places` that somebody has shut or cut off. */
  mend(places: Place[]): void {
    const { netlink } = this.#options;
    const links = new Map(netlink.links().map((link) => [link.index, link]));
    const routes = netlink.routes(ROUTE_TABLE).map(({ destination, ifindex }) => `${destination} ${ifindex}`);
    const present = new Set(routes);
    for (const place of places) {
      const { ifindex, addresses } = place;
      const link = links.get(ifindex);
      const isLed = addresses.every((address) => present.has(`${hostPrefix(address)} ${ifindex}`));
      const isOpen = link?.up === true && isLed;
      if (link !== undefined && !isOpen) this.open(place);
    }
  }

  /** From its return on nothing passes, and the addresses may be another's. */
  shut(device: Device, addresses: readonly string[]): void {
    const { netlink } = this.#options;
    for (const address of addresses) netlink.deleteRoute(wayTo(address, device.ifindex));
    if (netlink.link(device.name)?.index === device.ifindex) netlink.setLinkDown(device.ifindex);
  }

  /** The programs stay until the device has gone, so that there is no moment without them. */
  async delete(device: Device): Promise<void> {
    const { netlink } = this.#options;
    if (netlink.link(device.name)?.index === device.ifindex) await netlink.deleteLink(device.ifindex);
    await this.#programs.forget(device.name);
  }

  /** Takes away the devices and links of nobody: what a crash left. */
  async sweep(mine: ReadonlySet<number>, names: ReadonlySet<string>): Promise<void> {
    const { netlink, object } = this.#options;
    const strays = netlink.links().filter(({ name, kind }) => NAME.test(name) && kind === 'veth');
    for (const { index } of strays) if (!mine.has(index)) await netlink.deleteLink(index);
    for (const name of object.attached()) if (NAME.test(name) && !names.has(name)) object.forget(name);
  }

  close(): Promise<void> {
    return this.#programs.close();
  }

  #sourceFor(address: string): { source?: string } {
    const source = this.#options.nodeAddresses.find((own) => familyOf(own) === familyOf(address));
    return source === undefined ? {} : { source };
  }
}

function wayTo(address: string, ifindex: number): { destination: string; ifindex: number; table: number } {
  return { destination: hostPrefix(address), ifindex, table: ROUTE_TABLE };
}

/**
 * The host speaks IPv6 there only with an endpoint that has it: it would report its multicast groups to the others. It
 * believes nothing that a container says about routes, and the lookup that leads a container's packets out into the world
 * wants forwarding switched on at this device, though not on the host as a whole.
 */
function setUpIpv6(name: string, isUsed: boolean): void {
  const settings = `net.ipv6.conf.${name}`;
  if (readSysctl(`${settings}.disable_ipv6`) === undefined) return;
  if (isUsed) {
    const wanted = { accept_ra: '0', accept_redirects: '0', forwarding: '1' };
    for (const [setting, value] of Object.entries(wanted)) writeSysctl(`${settings}.${setting}`, value);
  }
  writeSysctl(`${settings}.disable_ipv6`, isUsed ? '0' : '1');
}
