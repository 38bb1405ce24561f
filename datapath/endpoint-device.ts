/** The veth pair of an endpoint: made with its programs, opened to traffic, taken away with its routes and links. */
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
  /** Preferred source of what the host sends to containers. */
  nodeAddress: string;
  log: Log;
}

/** Where an endpoint is reached. */
export interface Place {
  ifindex: number;
  ipv4: string;
  mac: string;
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

  /** Programs on, in place of those of an earlier process. */
  async attach(device: Device): Promise<void> {
    await this.#programs.attach(device);
    const settings = `net.ipv4.conf.${device.name}`;
    // replies may leave by any interface of a container, so the strict check would eat them
    writeSysctl(`${settings}.rp_filter`, '2');
    writeSysctl(`${settings}.forwarding`, '1');
    // the host has nothing to say in IPv6 to an IPv4 endpoint; it would report its multicast groups
    const ipv6 = `net.ipv6.conf.${device.name}.disable_ipv6`;
    if (readSysctl(ipv6) === '0') writeSysctl(ipv6, '1');
  }

  /** Lets traffic pass, as far as programs and maps do. Idempotent. */
  open({ ifindex, ipv4, mac }: Place): void {
    const { netlink, nodeAddress } = this.#options;
    netlink.setLinkUp(ifindex);
    netlink.addNeighbour({ ifindex, address: ipv4, mac });
    const destination = `${ipv4}/32`;
    netlink.addRoute({ destination, ifindex, source: nodeAddress, table: ROUTE_TABLE, scope: 'link' });
  }

  /** Opens again those of `places` that somebody has shut or cut off. */
  mend(places: Place[]): void {
    const { netlink } = this.#options;
    const links = new Map(netlink.links().map((link) => [link.index, link]));
    const routes = netlink.routes(ROUTE_TABLE).map(({ destination, ifindex }) => `${destination} ${ifindex}`);
    const present = new Set(routes);
    for (const place of places) {
      const link = links.get(place.ifindex);
      const isOpen = link?.up === true && present.has(`${place.ipv4}/32 ${place.ifindex}`);
      if (link !== undefined && !isOpen) this.open(place);
    }
  }

  /** From its return on nothing passes, and the address may be another's. */
  shut(device: Device, ipv4: string): void {
    const { netlink } = this.#options;
    netlink.deleteRoute({ destination: `${ipv4}/32`, ifindex: device.ifindex, table: ROUTE_TABLE });
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
}
