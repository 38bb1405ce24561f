/**
 * Endpoints in the kernel: veth pair, programs, map entries, route and neighbour of each. An endpoint lets nothing pass
 * until it has an identity, and its host side stays down until then.
 */
import { randomBytes } from 'node:crypto';
import { BugError, UserError } from '../base/index.ts';
import { EndpointFlag } from '../bpf/index.ts';
import type { DatapathObject, Endpoint as MapEndpoint } from '../bpf/index.ts';
import { readSysctl, writeSysctl } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';
import { ROUTE_TABLE } from './host-device.ts';

/** What the driver asks for. */
export interface EndpointSpec {
  /** Docker's endpoint id. */
  key: string;
  network: { gateway4?: string; mtu?: number };
  ipv4?: string;
  mac: string;
  /** The number it had before a restart. */
  endpointId?: number;
}

export interface Attachment {
  endpointId: number;
  hostInterface: string;
  containerInterface: string;
}

export interface Owner {
  containerId: string;
  containerName: string;
  identity: number;
  spaces: number[];
  noWorld: boolean;
}

export interface Endpoint extends Attachment {
  key: string;
  ifindex: number;
  ipv4: string;
  mac: string;
  gatewayMac: string;
  gateway: string;
  owner?: Owner;
}

export interface EndpointTableOptions {
  netlink: Netlink;
  object: DatapathObject;
  /** Preferred source of what the host sends to containers. */
  nodeAddress: string;
  mtu: () => number;
}

const NAME = /^weir(\d+)$/;
const MOST_ENDPOINTS = 4000;
const LAST_ID = 0xffff;
const NO_ADDRESS = '0.0.0.0';

function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 2; // locally administered, unicast
  return bytes.toString('hex').replace(/..(?!$)/g, '$&:');
}

export class EndpointTable {
  readonly #options: EndpointTableOptions;
  readonly #byKey = new Map<string, Endpoint>();
  readonly #ids = new Set<number>();
  #lastId = 0;
  #containers = new Map<string, number>();
  #lastContainer = 0;

  constructor(options: EndpointTableOptions) {
    this.#options = options;
  }

  list(): Endpoint[] {
    return [...this.#byKey.values()];
  }

  get(key: string): Endpoint | undefined {
    return this.#byKey.get(key);
  }

  byId(id: number): Endpoint | undefined {
    return this.list().find((endpoint) => endpoint.endpointId === id);
  }

  /** Endpoints of an identity. */
  countOf(identity: number): number {
    return this.list().filter((endpoint) => endpoint.owner?.identity === identity).length;
  }

  /** Idempotent. Nothing passes yet. Throws with nothing left behind. */
  async create(spec: EndpointSpec): Promise<Attachment> {
    const known = this.#byKey.get(spec.key) ?? this.#adopt(spec);
    if (known === undefined) return this.#make(spec);
    await this.#attach(known);
    return known;
  }

  /** Identity in place first, then the way opens. Called again when the owner changes. */
  activate(key: string, owner: Owner): void {
    const endpoint = this.#byKey.get(key);
    if (endpoint === undefined) throw new BugError(`activate endpoint ${key}: it is not there`);
    endpoint.owner = owner;
    this.#write(endpoint);
    const { netlink, nodeAddress } = this.#options;
    const { ifindex, ipv4, mac } = endpoint;
    netlink.setLinkUp(ifindex);
    netlink.addNeighbour({ ifindex, address: ipv4, mac });
    netlink.addRoute({
      destination: `${ipv4}/32`,
      ifindex,
      source: nodeAddress,
      table: ROUTE_TABLE,
      scope: 'link',
    });
  }

  /** Idempotent. From its return on no packet of the endpoint passes; the device goes soon after. */
  async remove(key: string): Promise<Endpoint | undefined> {
    const endpoint = this.#byKey.get(key);
    if (endpoint === undefined) return undefined;
    this.#byKey.delete(key);
    const { maps } = this.#options.object;
    maps.endpoint.delete(endpoint.ipv4);
    maps.device.delete(endpoint.ifindex);
    await this.#delete(endpoint);
    this.#forgetContainer(endpoint.owner?.containerId);
    this.#ids.delete(endpoint.endpointId);
    return endpoint;
  }

  /** Takes away devices, links and map entries that belong to no endpoint: what a crash left. */
  async sweep(): Promise<void> {
    const { netlink, object } = this.#options;
    const mine = new Set(this.list().map((endpoint) => endpoint.ifindex));
    const names = new Set(this.list().map((endpoint) => endpoint.hostInterface));
    for (const [ifindex] of [...object.maps.device.entries()])
      if (!mine.has(ifindex)) object.maps.device.delete(ifindex);
    const addresses = new Set(this.list().map((endpoint) => endpoint.ipv4));
    for (const [address] of [...object.maps.endpoint.entries()])
      if (!addresses.has(address)) object.maps.endpoint.delete(address);
    for (const link of netlink.links()) {
      if (NAME.test(link.name) && link.kind === 'veth' && !mine.has(link.index))
        await netlink.deleteLink(link.index);
    }
    for (const name of object.attached()) if (NAME.test(name) && !names.has(name)) object.forget(name);
  }

  async #make(spec: EndpointSpec): Promise<Attachment> {
    const { netlink } = this.#options;
    const id = this.#nextId();
    const hostInterface = `weir${id}`;
    const containerInterface = `weir${id}c`;
    const gatewayMac = randomMac();
    const mtu = spec.network.mtu ?? this.#options.mtu();
    const veth = { name: hostInterface, peer: containerInterface, mac: gatewayMac, peerMac: spec.mac, mtu };
    try {
      const { index } = netlink.createVeth({ ...veth, withoutLinkLocal: true });
      const endpoint = this.#endpointOf(
        spec,
        { endpointId: id, hostInterface, containerInterface },
        { ifindex: index, gatewayMac },
      );
      this.#byKey.set(spec.key, endpoint);
      await this.#attach(endpoint);
      return endpoint;
    } catch (error) {
      const link = netlink.link(hostInterface);
      if (link !== undefined) await netlink.deleteLink(link.index);
      this.#byKey.delete(spec.key);
      this.#ids.delete(id);
      throw error;
    }
  }

  /** The device that an earlier process made for this endpoint. */
  #adopt(spec: EndpointSpec): Endpoint | undefined {
    if (spec.endpointId === undefined) return undefined;
    const hostInterface = `weir${spec.endpointId}`;
    const link = this.#options.netlink.link(hostInterface);
    if (link === undefined || link.kind !== 'veth') return undefined;
    const names = { endpointId: spec.endpointId, hostInterface, containerInterface: `${hostInterface}c` };
    const endpoint = this.#endpointOf(spec, names, { ifindex: link.index, gatewayMac: link.mac });
    this.#ids.add(spec.endpointId);
    this.#byKey.set(spec.key, endpoint);
    return endpoint;
  }

  #endpointOf(
    spec: EndpointSpec,
    names: Attachment,
    device: { ifindex: number; gatewayMac: string },
  ): Endpoint {
    const { key, mac } = spec;
    return {
      key,
      mac,
      ipv4: spec.ipv4 ?? NO_ADDRESS,
      gateway: spec.network.gateway4 ?? NO_ADDRESS,
      ...names,
      ...device,
    };
  }

  /** Programs on, in place of those of an earlier process; the device is known to them, as nobody's if it is new. */
  async #attach(endpoint: Endpoint): Promise<void> {
    const { object } = this.#options;
    const device = { name: endpoint.hostInterface, ifindex: endpoint.ifindex };
    if (object.maps.device.get(endpoint.ifindex)?.ip4 !== endpoint.ipv4) this.#write(endpoint);
    await Promise.all([
      object.attach('from_container', device, 'ingress'),
      object.attach('to_container', device, 'egress'),
    ]);
    const settings = `net.ipv4.conf.${endpoint.hostInterface}`;
    // replies may leave by any interface of a container, so the strict check would eat them
    writeSysctl(`${settings}.rp_filter`, '2');
    writeSysctl(`${settings}.forwarding`, '1');
    // the host has nothing to say in IPv6 to an IPv4 endpoint; it would report its multicast groups
    const ipv6 = `net.ipv6.conf.${endpoint.hostInterface}.disable_ipv6`;
    if (readSysctl(ipv6) === '0') writeSysctl(ipv6, '1');
  }

  #write(endpoint: Endpoint): void {
    const { maps } = this.#options.object;
    const value = this.#valueOf(endpoint);
    if (endpoint.owner !== undefined) maps.endpoint.set(endpoint.ipv4, value);
    maps.device.set(endpoint.ifindex, { ip4: endpoint.ipv4, ip6: '::', endpoint: value });
  }

  #valueOf(endpoint: Endpoint): MapEndpoint {
    const { owner } = endpoint;
    return {
      ifindex: endpoint.ifindex,
      identity: owner?.identity ?? 0,
      container: owner === undefined ? 0 : this.#containerNumber(owner.containerId || endpoint.key),
      gateway: Buffer.from(endpoint.gateway.split('.').map(Number)).readUInt32BE(),
      id: endpoint.endpointId,
      flags: owner?.noWorld === true ? EndpointFlag.ENDPOINT_NO_WORLD : 0,
      mac: endpoint.mac,
      gatewayMac: endpoint.gatewayMac,
      spaces: owner?.spaces ?? [],
    };
  }

  /** The number by which the datapath knows that two endpoints are of one container. */
  #containerNumber(id: string): number {
    const number = this.#containers.get(id) ?? ++this.#lastContainer;
    this.#containers.set(id, number);
    return number;
  }

  #forgetContainer(id: string | undefined): void {
    if (id !== undefined && !this.list().some((endpoint) => endpoint.owner?.containerId === id))
      this.#containers.delete(id);
  }

  async #delete(endpoint: Endpoint): Promise<void> {
    const { netlink, object } = this.#options;
    object.forget(endpoint.hostInterface);
    netlink.deleteRoute({ destination: `${endpoint.ipv4}/32`, table: ROUTE_TABLE });
    if (netlink.link(endpoint.hostInterface)?.index === endpoint.ifindex)
      await netlink.deleteLink(endpoint.ifindex);
  }

  /** Small, and not soon used again: an event of an endpoint that just went must not name its successor. */
  #nextId(): number {
    if (this.#ids.size >= MOST_ENDPOINTS) {
      throw new UserError('TOO_MANY_ENDPOINTS', `this host has ${MOST_ENDPOINTS} endpoints already`, {
        hint: 'stop some containers',
      });
    }
    do this.#lastId = (this.#lastId % LAST_ID) + 1;
    while (this.#ids.has(this.#lastId) || this.#options.netlink.link(`weir${this.#lastId}`) !== undefined);
    this.#ids.add(this.#lastId);
    return this.#lastId;
  }
}
