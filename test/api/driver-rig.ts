/** The NetworkDriver over memory, as supertest drives it: every endpoint's container is known to Docker by its id. */
import { Router } from 'express';
import { silentLog } from '../../base/index.ts';
import {
  type Attachment,
  createNetworkDriver,
  createPluginApp,
  type EndpointDatapath,
  type EndpointFacts,
  Endpoints,
  type EndpointSpec,
  Networks,
  type Owner,
  type PortRequest,
  type PublishedPort,
} from '../../driver/index.ts';
import { IdentityAllocator, LabelFilter } from '../../identity/index.ts';

export class MemoryRecords {
  readonly kept = new Map<string, unknown>();

  put(key: string, value: unknown): Promise<void> {
    this.kept.set(key, structuredClone(value));
    return Promise.resolve();
  }

  delete(key: string): Promise<void> {
    this.kept.delete(key);
    return Promise.resolve();
  }

  list(prefix: string): Promise<{ key: string; value: unknown }[]> {
    const found = [...this.kept].filter(([key]) => key.startsWith(prefix));
    return Promise.resolve(structuredClone(found.map(([key, value]) => ({ key, value }))));
  }
}

export class MemoryDatapath implements EndpointDatapath {
  readonly specs = new Map<string, EndpointSpec>();
  readonly owners = new Map<string, Owner>();
  readonly ports = new Map<string, PublishedPort[]>();
  #next = 1;

  async createEndpoint(spec: EndpointSpec): Promise<Attachment> {
    await new Promise((resolve) => setImmediate(resolve));
    this.specs.set(spec.key, spec);
    const endpointId = spec.endpointId ?? this.#next++;
    return { endpointId, hostInterface: `weir${endpointId}`, containerInterface: `wc${endpointId}` };
  }

  async activateEndpoint(key: string, owner: Owner): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.specs.has(key)) throw new Error(`activate ${key}, which does not exist`);
    this.owners.set(key, owner);
  }

  async publishPorts(key: string, requests: PortRequest[]): Promise<PublishedPort[]> {
    await new Promise((resolve) => setImmediate(resolve));
    const ports = requests.map(({ protocol, port, hostAddress, hostPort }, at) => {
      const place = { hostAddress: hostAddress || '0.0.0.0', hostPort: hostPort || 32768 + at };
      return { id: at + 1, protocol, ...place, address: this.specs.get(key)?.ipv4 ?? '', port };
    });
    this.ports.set(key, ports);
    return ports;
  }

  async restorePorts(key: string, ports: PublishedPort[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.ports.set(key, ports);
  }

  async unpublishPorts(key: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.ports.delete(key);
  }

  async removeEndpoint(key: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.ports.delete(key);
    this.specs.delete(key);
    this.owners.delete(key);
  }
}

export function driverRig() {
  const records = new MemoryRecords();
  const datapath = new MemoryDatapath();
  const identities = new IdentityAllocator({ store: records });
  const now = Date.now;
  const networks = new Networks({ records, now });
  const identify = (networkId: string, endpointId: string): Promise<EndpointFacts> => {
    const container = { id: `c-${endpointId}`, name: endpointId, labels: { id: endpointId }, networks: [] };
    return Promise.resolve({ networkName: `name-${networkId}`, container });
  };
  const filter = LabelFilter.parse();
  const common = { records, networks, datapath, identities, filter, log: silentLog, now };
  const endpoints = new Endpoints({
    ...common,
    docker: { identify },
    clusterCidrs: ['10.210.0.0/16', 'fd00:210::/48'],
    routing: { change: () => undefined },
  });
  const networkDriver = createNetworkDriver({ networks, endpoints, log: silentLog });
  const app = createPluginApp({ networkDriver, ipamDriver: Router(), log: silentLog });
  return { app, records, datapath, identities, networks, endpoints };
}

export type DriverRig = ReturnType<typeof driverRig>;

/** All that a call may have changed, as one text. */
export function stateOf({ records, datapath, identities, endpoints, networks }: DriverRig): string {
  const maps = [records.kept, datapath.specs, datapath.owners, datapath.ports].map((map) => [...map]);
  return JSON.stringify([maps, identities.list(), endpoints.list(), networks.list()]);
}
