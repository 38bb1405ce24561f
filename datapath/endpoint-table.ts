/**
 * The endpoints of this host and their map entries. An endpoint lets nothing pass until it has an identity, and its
 * host side stays down until then; from the moment it is removed nothing passes any more.
 */
import { randomBytes } from 'node:crypto';
import { BugError, describeError, familyOf, UserError } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { EndpointFlag } from '../bpf/index.ts';
import type { Endpoint as MapEndpoint, Maps } from '../bpf/index.ts';
import { ContainerNumbers } from './container-numbers.ts';
import type { EndpointDevices } from './endpoint-device.ts';

/** What the driver asks for. */
export interface EndpointSpec {
  /** Docker's endpoint id. */
  key: string;
  network: { gateway4?: string; gateway6?: string; mtu?: number };
  /** At least one of the two. */
  ipv4?: string;
  ipv6?: string;
  mac: string;
  /** The number it had before a restart, to be kept. */
  endpointId?: number;
}

/** The veth pair of an endpoint and its number. */
export interface Attachment {
  endpointId: number;
  hostInterface: string;
  containerInterface: string;
}

/** Whose endpoint it is; decides what may pass. `containerId` is empty while Docker has not answered. */
export interface Owner {
  containerId: string;
  containerName: string;
  identity: number;
  spaces: number[];
  noWorld: boolean;
  /** What its policy denies passes and is only told. */
  audit?: true;
}

export interface Endpoint extends Attachment {
  key: string;
  ifindex: number;
  /** At most one of each family. */
  addresses: readonly string[];
  mac: string;
  gatewayMac: string;
  /** Its next hops. */
  gateways: readonly string[];
  owner?: Owner;
}

export interface EndpointTableOptions {
  devices: Pick<
    EndpointDevices,
    'create' | 'find' | 'isTaken' | 'attach' | 'open' | 'mend' | 'shut' | 'delete' | 'sweep'
  >;
  maps: Pick<Maps, 'endpoint' | 'device'>;
  mtu: () => number;
  log: Log;
}

const MOST_ENDPOINTS = 4000;
const LAST_ID = 0xffff;
const NO_ADDRESS = { 4: '0.0.0.0', 6: '::' } as const;

function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 2; // locally administered, unicast
  return bytes.toString('hex').replace(/..(?!$)/g, '$&:');
}

function namesOf(endpointId: number): Attachment {
  const hostInterface = `weir${endpointId}`;
  return { endpointId, hostInterface, containerInterface: `${hostInterface}c` };
}

/** As maps have it, where an address may be missing. */
function ofFamily(family: 4 | 6, addresses: readonly string[]): string {
  return addresses.find((address) => familyOf(address) === family) ?? NO_ADDRESS[family];
}

function given(...addresses: (string | undefined)[]): string[] {
  return addresses.filter((address) => address !== undefined);
}

function deviceOf({ hostInterface, ifindex }: Endpoint): { name: string; ifindex: number } {
  return { name: hostInterface, ifindex };
}

export class EndpointTable {
  readonly #options: EndpointTableOptions;
  readonly #byKey = new Map<string, Endpoint>();
  readonly #ids = new Set<number>();
  readonly #leaving = new Set<Promise<void>>();
  readonly #containers: ContainerNumbers;
  #lastId = 0;

  constructor(options: EndpointTableOptions) {
    this.#options = options;
    const { endpoint, device } = options.maps;
    const left = [
      ...[...endpoint.entries()].map(([, value]) => value),
      ...[...device.entries()].map(([, value]) => value.endpoint),
    ];
    this.#containers = new ContainerNumbers(Math.max(0, ...left.map(({ container }) => container)));
    this.#lastId = Math.max(0, ...left.map(({ id }) => id));
  }

  list(): Endpoint[] {
    return [...this.#byKey.values()];
  }

  get(key: string): Endpoint | undefined {
    return this.#byKey.get(key);
  }

  /** Endpoints of an identity. */
  countOf(identity: number): number {
    return this.list().filter((endpoint) => endpoint.owner?.identity === identity).length;
  }

  /** Idempotent. Nothing passes yet, unless it is an endpoint of an earlier process. Throws with nothing left behind. */
  async create(spec: EndpointSpec): Promise<Attachment> {
    const known = this.#byKey.get(spec.key) ?? this.#adopt(spec);
    if (known === undefined) return this.#make(spec);
    await this.#options.devices.attach(deviceOf(known), known.addresses);
    return known;
  }

  /** Identity in place first, then the way opens. Called again when the owner changes. */
  activate(key: string, owner: Owner): void {
    const endpoint = this.#byKey.get(key);
    if (endpoint === undefined) throw new BugError(`activate endpoint ${key}: it is not there`);
    endpoint.owner = owner;
    this.#write(endpoint);
    this.#options.devices.open(endpoint);
  }

  /** Mends what somebody has done to devices and routes of endpoints that are in use. */
  mend(): void {
    this.#options.devices.mend(this.list().filter((endpoint) => endpoint.owner !== undefined));
  }

  /** Idempotent. From its return on no packet of the endpoint passes; its device goes soon after. */
  remove(key: string): Endpoint | undefined {
    const endpoint = this.#byKey.get(key);
    if (endpoint === undefined) return undefined;
    const { devices } = this.#options;
    this.#byKey.delete(key);
    this.#containers.release(key);
    this.#erase(endpoint);
    const going = this.#attempt(endpoint, async () => {
      devices.shut(deviceOf(endpoint), endpoint.addresses);
      await devices.delete(deviceOf(endpoint));
    });
    this.#leaving.add(going);
    void going.then(() => {
      this.#ids.delete(endpoint.endpointId);
      this.#leaving.delete(going);
    });
    return endpoint;
  }

  /** Resolves when the devices of all removed endpoints have gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  /** Takes away devices, links and map entries that belong to no endpoint: what a crash left. */
  async sweep(): Promise<void> {
    const { maps, devices } = this.#options;
    await this.settled();
    const mine = new Set(this.list().map((endpoint) => endpoint.ifindex));
    const addresses = new Map(
      this.list().flatMap((endpoint) => endpoint.addresses.map((address) => [address, endpoint.ifindex])),
    );
    for (const [ifindex] of [...maps.device.entries()]) if (!mine.has(ifindex)) maps.device.delete(ifindex);
    for (const [address, { ifindex }] of [...maps.endpoint.entries()])
      if (addresses.get(address) !== ifindex) maps.endpoint.delete(address);
    const names = new Set(this.list().map((endpoint) => endpoint.hostInterface));
    await devices.sweep(mine, names);
  }

  async #make(spec: EndpointSpec): Promise<Attachment> {
    const { devices, mtu } = this.#options;
    const names = namesOf(this.#nextId());
    const { hostInterface: name, containerInterface: peer } = names;
    const gatewayMac = randomMac();
    let endpoint: Endpoint | undefined;
    try {
      const pair = { name, peer, mac: gatewayMac, peerMac: spec.mac, mtu: spec.network.mtu ?? mtu() };
      endpoint = this.#endpointOf(spec, names, { ifindex: devices.create(pair), gatewayMac });
      this.#byKey.set(spec.key, endpoint);
      // known to the programs from their first packet on, as nobody's
      this.#write(endpoint);
      await devices.attach(deviceOf(endpoint), endpoint.addresses);
      return endpoint;
    } catch (error) {
      if (endpoint !== undefined) this.remove(spec.key);
      else this.#ids.delete(names.endpointId);
      await this.settled();
      throw error;
    }
  }

  /** The device that an earlier process made for this endpoint; what it may do stays as it was. */
  #adopt(spec: EndpointSpec): Endpoint | undefined {
    if (spec.endpointId === undefined || this.#ids.has(spec.endpointId)) return undefined;
    const names = namesOf(spec.endpointId);
    const link = this.#options.devices.find(names.hostInterface);
    if (link === undefined) return undefined;
    const endpoint = this.#endpointOf(spec, names, { ifindex: link.index, gatewayMac: link.mac });
    const present = this.#options.maps.device.get(link.index);
    this.#ids.add(spec.endpointId);
    this.#byKey.set(spec.key, endpoint);
    const { addresses } = endpoint;
    const isSame = present?.ip4 === ofFamily(4, addresses) && present.ip6 === ofFamily(6, addresses);
    if (isSame) this.#containers.adopt(spec.key, present.endpoint.container);
    else this.#write(endpoint);
    return endpoint;
  }

  #endpointOf(
    spec: EndpointSpec,
    names: Attachment,
    device: { ifindex: number; gatewayMac: string },
  ): Endpoint {
    const { key, mac, ipv4, ipv6, network } = spec;
    const addresses = given(ipv4, ipv6);
    const gateways = given(network.gateway4, network.gateway6);
    return { key, mac, addresses, gateways, ...names, ...device };
  }

  #write(endpoint: Endpoint): void {
    const { maps } = this.#options;
    const value = this.#valueOf(endpoint);
    const { addresses, gateways, ifindex, owner } = endpoint;
    if (owner !== undefined) for (const address of addresses) maps.endpoint.set(address, value);
    maps.device.set(ifindex, {
      ip4: ofFamily(4, addresses),
      ip6: ofFamily(6, addresses),
      gateway4: ofFamily(4, gateways),
      gateway6: ofFamily(6, gateways),
      endpoint: value,
    });
  }

  #erase({ addresses, ifindex }: Endpoint): void {
    const { maps } = this.#options;
    for (const address of addresses)
      if (maps.endpoint.get(address)?.ifindex === ifindex) maps.endpoint.delete(address);
    maps.device.delete(ifindex);
  }

  #valueOf(endpoint: Endpoint): MapEndpoint {
    const { owner } = endpoint;
    return {
      ifindex: endpoint.ifindex,
      identity: owner?.identity ?? 0,
      container: owner === undefined ? 0 : this.#containers.assign(endpoint.key, owner.containerId),
      id: endpoint.endpointId,
      flags:
        (owner?.noWorld === true ? EndpointFlag.ENDPOINT_NO_WORLD : 0) |
        (owner?.audit === true ? EndpointFlag.ENDPOINT_AUDIT : 0),
      mac: endpoint.mac,
      gatewayMac: endpoint.gatewayMac,
      spaces: owner?.spaces ?? [],
    };
  }

  /** What stays behind is taken away by the sweep of the next start. */
  async #attempt(endpoint: Endpoint, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#options.log.error('cannot take away the device of an endpoint', {
        device: endpoint.hostInterface,
        reason: describeError(error),
      });
    }
  }

  /** Small, and not soon used again: an event of an endpoint that just went must not name its successor. */
  #nextId(): number {
    if (this.#ids.size >= MOST_ENDPOINTS) {
      throw new UserError('TOO_MANY_ENDPOINTS', `this host has ${MOST_ENDPOINTS} endpoints already`, {
        hint: 'stop some containers',
      });
    }
    do this.#lastId = (this.#lastId % LAST_ID) + 1;
    while (this.#ids.has(this.#lastId) || this.#options.devices.isTaken(`weir${this.#lastId}`));
    this.#ids.add(this.#lastId);
    return this.#lastId;
  }
}
