/**
 * Published ports: which port of the host leads to which endpoint. A port in the map is also held by a socket, so that
 * nobody else on the host gets it meanwhile; where an earlier process has published it, it stays published.
 */
import { describeError, familyOf, UserError } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import type { Maps, ServiceKey } from '../bpf/index.ts';
import { KernelError } from '../kernel/index.ts';
import type { HostPort } from '../kernel/index.ts';

/** What `-p` asks for. */
export interface PortRequest {
  protocol: 'tcp' | 'udp';
  /** Of the container. */
  port: number;
  /** Empty: all addresses of the host, in the families that the endpoint has. */
  hostAddress: string;
  /** First and last port of the host that will do; 0: any free one. */
  hostPort: number;
  hostPortEnd: number;
}

/** A port of the host that leads to an endpoint. */
export interface PublishedPort {
  /** Small, and the same for as long as it is published. */
  id: number;
  protocol: 'tcp' | 'udp';
  /** 0.0.0.0 and :: stand for all addresses of the family. */
  hostAddress: string;
  hostPort: number;
  /** The container's, as is the port. */
  address: string;
  port: number;
}

/** An endpoint as far as ports are concerned. */
export interface PortOwner {
  /** Endpoints of one container do not contend for ports. */
  containerId: string;
  containerName: string;
  /** At most one of each family. */
  addresses: readonly string[];
}

export interface Service extends PublishedPort {
  /** Docker's endpoint id. */
  key: string;
}

export interface ServicesOptions {
  map: Maps['service'];
  /** By Docker's endpoint id. */
  ownerOf: (key: string) => PortOwner;
  /** Throws KernelError EADDRINUSE or EADDRNOTAVAIL. */
  hold: (port: HostPort) => Disposable;
  /** "nginx (pid 812)" for the process that has the port, if it can be found. */
  userOf: (port: HostPort) => string | undefined;
  /** The ports that the kernel gives to those who ask for any. */
  range: () => { first: number; last: number };
  log: Log;
}

interface Entry extends Service {
  held: Disposable | undefined;
}

const PROTOCOL = { tcp: 6, udp: 17 } as const;
const ANY = { 4: '0.0.0.0', 6: '::' } as const;
const NOBODY = new Set<string>(Object.values(ANY));

function keyOf({ hostAddress, hostPort, protocol }: PublishedPort): ServiceKey {
  return { address: hostAddress, port: hostPort, protocol: PROTOCOL[protocol] };
}

/** One port cannot lead to two places: neither under one address nor under all of them. */
function overlap(a: PublishedPort, { address, port, protocol }: HostPort): boolean {
  if (a.protocol !== protocol || a.hostPort !== port) return false;
  if (a.hostAddress === address) return true;
  return familyOf(a.hostAddress) === familyOf(address) && (NOBODY.has(a.hostAddress) || NOBODY.has(address));
}

function nameOf({ address, port, protocol }: HostPort): string {
  const where = NOBODY.has(address) ? '' : ` of ${address}`;
  return `port ${port}/${protocol}${where}`;
}

/** A port that is not free; `key` is the endpoint that it is published for, if it is. */
class PortTaken extends Error {
  readonly port: HostPort;
  readonly key: string | undefined;

  constructor(port: HostPort, key?: string) {
    super(`${nameOf(port)} is taken`);
    this.port = port;
    this.key = key;
  }
}

export class Services {
  readonly #options: ServicesOptions;
  #entries: Entry[] = [];
  /** Where the search for any free port goes on. */
  #next = 0;

  constructor(options: ServicesOptions) {
    this.#options = options;
  }

  list(): Service[] {
    return this.#entries.map(({ held: _held, ...service }) => service);
  }

  /**
   * Publishes all of them or none. Throws UserError: PORT_IN_USE, naming who has it, HOST_ADDRESS_UNKNOWN,
   * PORTS_EXHAUSTED, or PORT_FAMILY where the endpoint has no address of the family.
   */
  publish(key: string, requests: readonly PortRequest[]): PublishedPort[] {
    const before = this.#entries.length;
    try {
      for (const request of requests) this.#choose(key, request);
      for (const entry of this.#entries.slice(before)) this.#write(entry);
    } catch (error) {
      for (const entry of this.#entries.splice(before)) this.#end(entry);
      throw error;
    }
    return this.list()
      .slice(before)
      .map(({ key: _key, ...port }) => port);
  }

  /** Takes over what was published before a restart, whoever may have taken the port meanwhile. */
  restore(key: string, ports: readonly PublishedPort[]): void {
    for (const port of ports) {
      const entry: Entry = { ...port, key, held: undefined };
      try {
        entry.held = this.#options.hold(hostPortOf(port));
      } catch (error) {
        this.#options.log.warn('a published port is not kept from others', {
          port: nameOf(hostPortOf(port)),
          reason: describeError(error),
        });
      }
      this.#entries.push(entry);
      this.#write(entry);
    }
  }

  /** Idempotent. */
  unpublish(key: string): void {
    for (const entry of this.#entries.filter((item) => item.key === key)) this.#end(entry);
    this.#entries = this.#entries.filter((item) => item.key !== key);
  }

  /** Takes out of the map what belongs to nobody: what a crash has left. */
  sweep(): void {
    const { map } = this.#options;
    for (const [key] of [...map.entries()]) {
      const isKnown = this.#entries.some((entry) => {
        const { address, port, protocol } = keyOf(entry);
        return address === key.address && port === key.port && protocol === key.protocol;
      });
      if (!isKnown) map.delete(key);
    }
  }

  /** Lets go of the ports; they stay published. */
  close(): void {
    for (const entry of this.#entries) entry.held?.[Symbol.dispose]();
  }

  #choose(key: string, request: PortRequest): void {
    const places = placesOf(this.#options.ownerOf(key), request);
    if (request.hostPort === 0) {
      this.#chooseAny(key, request, places);
      return;
    }
    let taken: PortTaken | undefined;
    for (let port = request.hostPort; port <= Math.max(request.hostPort, request.hostPortEnd); port++) {
      taken = this.#try(key, request, { places, port });
      if (taken === undefined) return;
    }
    const cause = taken && this.#refusalOf(taken);
    if (cause !== undefined && request.hostPortEnd <= request.hostPort) throw cause;
    const range = `${request.hostPort}-${request.hostPortEnd}/${request.protocol}`;
    throw new UserError('PORT_IN_USE', `no port of ${range} is free`, { cause });
  }

  /** One number for all families, each container port another one. */
  #chooseAny(key: string, request: PortRequest, places: Place[]): void {
    const { first, last } = this.#options.range();
    const count = last - first + 1;
    for (let tried = 0; tried < count; tried++) {
      const port = first + ((this.#next + tried) % count);
      if (this.#try(key, request, { places, port }) !== undefined) continue;
      this.#next = port - first + 1;
      return;
    }
    throw new UserError('PORTS_EXHAUSTED', `no ${request.protocol} port from ${first} to ${last} is free`, {
      hint: 'name one with -p, or widen net.ipv4.ip_local_port_range',
    });
  }

  /** Holds one port at all places, or answers why that cannot be. Throws what no other port would mend. */
  #try(
    key: string,
    { protocol }: PortRequest,
    { places, port }: { places: Place[]; port: number },
  ): PortTaken | undefined {
    const before = this.#entries.length;
    try {
      for (const place of places) this.#hold(key, { address: place.hostAddress, port, protocol }, place);
      return undefined;
    } catch (error) {
      for (const entry of this.#entries.splice(before)) entry.held?.[Symbol.dispose]();
      if (error instanceof PortTaken) return error;
      throw error;
    }
  }

  #hold(key: string, port: HostPort, { address, port: target }: Place): void {
    const other = this.#entries.find((entry) => overlap(entry, port));
    if (other !== undefined && other.port === target && this.#isSibling(other, key)) return;
    if (other !== undefined) throw new PortTaken(port, other.key);
    const { protocol, address: hostAddress, port: hostPort } = port;
    const held = this.#bind(port);
    this.#entries.push({
      id: this.#freeId(),
      protocol,
      hostAddress,
      hostPort,
      address,
      port: target,
      key,
      held,
    });
  }

  /** Another endpoint of the same container: Docker may ask for the same ports once per family. */
  #isSibling({ key }: Entry, other: string): boolean {
    const { containerId } = this.#options.ownerOf(key);
    return key !== other && containerId !== '' && this.#options.ownerOf(other).containerId === containerId;
  }

  #bind(port: HostPort): Disposable {
    try {
      return this.#options.hold(port);
    } catch (cause) {
      if (!(cause instanceof KernelError)) throw cause;
      if (cause.errno === 'EADDRINUSE') throw new PortTaken(port);
      throw new UserError('HOST_ADDRESS_UNKNOWN', `cannot publish ${nameOf(port)}`, {
        cause,
        hint: 'name an address of this host with -p, or none for all of them',
      });
    }
  }

  /** Who has the port: a look at all processes of the host. */
  #refusalOf({ port, key }: PortTaken): UserError {
    const { ownerOf, userOf } = this.#options;
    if (key === undefined) {
      const user = userOf(port) ?? 'a process of the host';
      return new UserError('PORT_IN_USE', `${nameOf(port)} is in use by ${user}`);
    }
    const { containerName } = ownerOf(key);
    const whose = containerName === '' ? 'another container' : `container ${containerName}`;
    return new UserError('PORT_IN_USE', `${nameOf(port)} is published for ${whose} already`);
  }

  #freeId(): number {
    const taken = new Set(this.#entries.map(({ id }) => id));
    let id = 1;
    while (taken.has(id)) id++;
    return id;
  }

  #write(entry: Entry): void {
    const { address, port, id } = entry;
    this.#options.map.set(keyOf(entry), { address, port, flags: 0, id });
  }

  #end(entry: Entry): void {
    this.#options.map.delete(keyOf(entry));
    entry.held?.[Symbol.dispose]();
  }
}

/** An address of the host, and whom it leads to. */
interface Place {
  hostAddress: string;
  address: string;
  port: number;
}

function placesOf({ addresses }: PortOwner, { hostAddress, port }: PortRequest): Place[] {
  const isMeant = (address: string): boolean =>
    hostAddress === '' || familyOf(hostAddress) === familyOf(address);
  const places = addresses.filter(isMeant).map((address) => {
    return { hostAddress: hostAddress === '' ? ANY[familyOf(address)] : hostAddress, address, port };
  });
  if (places.length > 0) return places;
  throw new UserError('PORT_FAMILY', `cannot publish on ${hostAddress}: the container has no such address`, {
    hint: 'publish on an address of a family that the network has',
  });
}

function hostPortOf({ hostAddress, hostPort, protocol }: PublishedPort): HostPort {
  return { address: hostAddress, port: hostPort, protocol };
}
