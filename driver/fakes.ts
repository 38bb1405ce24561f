/** Stand-ins for everything the driver needs, for its own tests: they remember, they can be told to fail or to be late. */
import { silentLog } from '../base/index.ts';
import type {
  Attachment,
  EndpointDatapath,
  EndpointFacts,
  EndpointLookup,
  EndpointSpec,
  IdentitySource,
  Owner,
  PortRequest,
  PublishedPort,
  Records,
  SandboxRoute,
  SandboxRouting,
} from './contract.ts';
import { Endpoints } from './endpoints.ts';
import { Networks } from './networks.ts';
import { parseNetworkRequest, type Place } from './request.ts';

/** Survives the making of a new host over it, as a store survives the agent. */
export class FakeRecords implements Records {
  readonly kept = new Map<string, unknown>();
  failing = false;
  writes = 0;

  async put(key: string, value: unknown): Promise<void> {
    await Promise.resolve();
    if (this.failing) throw new Error('disk full');
    this.writes++;
    this.kept.set(key, structuredClone(value));
  }

  async delete(key: string): Promise<void> {
    await Promise.resolve();
    this.kept.delete(key);
  }

  list(prefix: string): Promise<{ key: string; value: unknown }[]> {
    const found = [...this.kept].filter(([key]) => key.startsWith(prefix));
    return Promise.resolve(structuredClone(found.map(([key, value]) => ({ key, value }))));
  }
}

type Step = 'create' | 'activate' | 'remove' | 'publish' | 'restore' | 'unpublish';

export class FakeDatapath implements EndpointDatapath {
  readonly specs = new Map<string, EndpointSpec>();
  readonly owners = new Map<string, Owner>();
  /** Everything that was asked, "create key", "activate key identity", "remove key". */
  readonly calls: string[] = [];
  failing: 'create' | 'activate' | 'remove' | 'publish' | undefined;
  readonly ports = new Map<string, PublishedPort[]>();
  #next = 1;

  async createEndpoint(spec: EndpointSpec): Promise<Attachment> {
    await this.#step('create', spec.key);
    this.specs.set(spec.key, spec);
    const endpointId = spec.endpointId ?? this.#next++;
    return { endpointId, hostInterface: `weir${endpointId}`, containerInterface: `wc${endpointId}` };
  }

  async activateEndpoint(key: string, owner: Owner): Promise<void> {
    await this.#step('activate', `${key} ${owner.identity}`);
    if (!this.specs.has(key)) throw new Error(`activate ${key}, which does not exist`);
    this.owners.set(key, owner);
  }

  async removeEndpoint(key: string): Promise<void> {
    await this.#step('remove', key);
    this.specs.delete(key);
    this.owners.delete(key);
    this.ports.delete(key);
  }

  /** Each port under its own number, or 32768 for any. */
  async publishPorts(key: string, requests: PortRequest[]): Promise<PublishedPort[]> {
    await this.#step('publish', `${key} ${requests.map(({ hostPort }) => hostPort).join()}`);
    const address = this.specs.get(key)?.ipv4 ?? '';
    const ports = requests.map(({ protocol, port, hostAddress, hostPort }, at) => ({
      id: at + 1,
      protocol,
      hostAddress: hostAddress || '0.0.0.0',
      hostPort: hostPort || 32768 + at,
      address,
      port,
    }));
    this.ports.set(key, ports);
    return ports;
  }

  async restorePorts(key: string, ports: PublishedPort[]): Promise<void> {
    if (ports.length > 0)
      await this.#step('restore', `${key} ${ports.map(({ hostPort }) => hostPort).join()}`);
    this.ports.set(key, ports);
  }

  async unpublishPorts(key: string): Promise<void> {
    await this.#step('unpublish', key);
    this.ports.delete(key);
  }

  async #step(what: Step, about: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failing === what) throw new Error(`${what} fails`);
    this.calls.push(`${what} ${about}`);
  }
}

/** Numbers from 256 up, one per label set. */
export class FakeIdentities implements IdentitySource {
  readonly numbers = new Map<string, number>();
  readonly held = new Map<string, number>();

  acquire(labels: string[], holder: string): Promise<{ id: number }> {
    const set = [...labels].sort().join(' ');
    const id = this.numbers.get(set) ?? 256 + this.numbers.size;
    this.numbers.set(set, id);
    this.held.set(holder, id);
    return Promise.resolve({ id });
  }

  release(holder: string): Promise<void> {
    this.held.delete(holder);
    return Promise.resolve();
  }
}

/** Routes in containers, as an administrator reads them: "10.210.0.0/16 via 169.254.1.1 by 10.210.0.2". */
export class FakeRouting implements SandboxRouting {
  readonly routes = new Map<string, string>();
  isGone = false;

  change(_sandbox: string, { add, remove }: { add: SandboxRoute[]; remove: SandboxRoute[] }): void {
    if (this.isGone) throw new Error('no such namespace');
    for (const { destination, gateway, address } of add)
      this.routes.set(destination, `${destination} via ${gateway} by ${address}`);
    for (const { destination } of remove) this.routes.delete(destination);
  }

  /** As dockerd programs what Join answered. */
  program(
    address: string,
    { StaticRoutes }: { StaticRoutes: { Destination: string; NextHop: string }[] },
  ): void {
    for (const { Destination, NextHop } of StaticRoutes)
      if (NextHop !== '') this.routes.set(Destination, `${Destination} via ${NextHop} by ${address}`);
  }

  /** Routes go with the interface that had the address. */
  unplug(...addresses: string[]): void {
    for (const [destination, route] of this.routes)
      if (addresses.some((address) => route.endsWith(` by ${address}`))) this.routes.delete(destination);
  }

  list(): string[] {
    return [...this.routes.values()].sort();
  }
}

/** Knows endpoints once it was told; silent until aborted while `isSilent`. */
export class FakeDocker implements EndpointLookup {
  readonly facts = new Map<string, EndpointFacts>();
  isSilent = false;
  asked = 0;

  identify(_networkId: string, endpointId: string, signal: AbortSignal): Promise<EndpointFacts | undefined> {
    this.asked++;
    if (!this.isSilent) return Promise.resolve(this.facts.get(endpointId));
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('no answer'))));
  }

  /** Endpoint `endpointId` is container `name` on network `networkName`. */
  tell(endpointId: string, networkName: string, name: string, labels: Record<string, string> = {}): void {
    this.facts.set(endpointId, {
      networkName,
      container: { id: `id-of-${name}`, name, labels, networks: [networkName] },
    });
  }

  /** The container is on these networks as well. */
  tellFurther(endpointId: string, ...networks: string[]): void {
    this.facts.get(endpointId)?.container.networks.push(...networks);
  }
}

export interface FakeHost {
  now: () => number;
  records: FakeRecords;
  datapath: FakeDatapath;
  identities: FakeIdentities;
  docker: FakeDocker;
  routing: FakeRouting;
  networks: Networks;
  endpoints: Endpoints;
  /** Moves the clock. */
  pass(ms: number): void;
  /** As `docker network create` with these `-o` options does it. */
  network(
    id: string,
    options?: Record<string, string>,
    flags?: { internal?: boolean; gateway?: string; pool?: string; pool6?: string },
  ): Promise<void>;
  /** As dockerd starts a container: CreateEndpoint, then Join. */
  run(
    key: string,
    networkId: string,
    address: string | Place,
    sandbox: string,
  ): ReturnType<Endpoints['join']>;
}

export function fakeHost(records = new FakeRecords(), lookupMs = 20): FakeHost {
  const [datapath, identities, docker] = [new FakeDatapath(), new FakeIdentities(), new FakeDocker()];
  let time = 1_000_000;
  const now = (): number => time;
  const networks = new Networks({ records, now });
  const admit = (labels: Record<string, string>): string[] =>
    Object.entries(labels).map(([key, value]) => `container:${key}=${value}`);
  const routing = new FakeRouting();
  const clusterCidrs = ['10.210.0.0/16', 'fd00:210::/48'];
  const common = { records, networks, datapath, identities, docker, routing, clusterCidrs, lookupMs, now };
  const endpoints = new Endpoints({ ...common, filter: { admit }, log: silentLog });
  return {
    ...common,
    endpoints,
    pass: (ms) => (time += ms),
    async network(id, generic = {}, { internal = false, gateway = '', pool = '10.210.0.0/24', pool6 } = {}) {
      const Options = { 'com.docker.network.internal': internal, 'com.docker.network.generic': generic };
      const IPv4Data = [{ Pool: pool, Gateway: gateway }];
      const IPv6Data = pool6 === undefined ? [] : [{ Pool: pool6 }];
      await networks.create(parseNetworkRequest({ NetworkID: id, Options, IPv4Data, IPv6Data }));
    },
    async run(key, networkId, address, sandbox) {
      const place = typeof address === 'string' ? { ipv4: address } : address;
      await endpoints.create({ networkId, endpointId: key, place });
      return endpoints.join({ networkId, endpointId: key, sandbox });
    },
  };
}

/** Networks app and db with a container `web` that Docker knows on both by endpoints web-app and web-db. */
export async function appHost(flags: { internal?: boolean } = {}): Promise<FakeHost> {
  const host = fakeHost();
  await host.network('n-app');
  await host.network('n-db', {}, flags);
  await host.endpoints.learnNetwork('n-app', 'app');
  await host.endpoints.learnNetwork('n-db', 'db');
  host.docker.tell('web-app', 'app', 'web', { id: 'web' });
  host.docker.tell('web-db', 'db', 'web', { id: 'web' });
  return host;
}
