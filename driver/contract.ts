/**
 * What this floor needs from the others, as small interfaces: the datapath, identities, durable records, Docker.
 * The agent passes the real ones; tests pass fakes.
 */

/** A Docker network as the datapath sees it. */
export interface NetworkSpec {
  id: string;
  name: string;
  /** Endpoints of two networks reach each other by default only when the networks share this number. */
  space: number;
  internal: boolean;
  /** Next hops of its containers: link-local, or the address the user gave with --gateway; missing: not of that family. */
  gateway4?: string;
  gateway6?: string;
  mtu?: number;
}

export interface EndpointSpec {
  /** Docker's endpoint id. */
  key: string;
  network: NetworkSpec;
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
  /** What policy denies it passes and is only told. */
  audit?: true;
}

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

export interface EndpointDatapath {
  /** Idempotent: an endpoint that exists already is taken over as it is. Nothing passes until it is activated. */
  createEndpoint(spec: EndpointSpec): Promise<Attachment>;
  /** Identity and policy first, then link up; called again whenever the owner changes. */
  activateEndpoint(key: string, owner: Owner): Promise<void>;
  /** All ports or none; rejects naming who has the one that is not free. */
  publishPorts(key: string, requests: PortRequest[]): Promise<PublishedPort[]>;
  /** Takes over what was published before a restart. */
  restorePorts(key: string, ports: PublishedPort[]): Promise<void>;
  /** Idempotent. */
  unpublishPorts(key: string): Promise<void>;
  /** Idempotent; its ports go with it. */
  removeEndpoint(key: string): Promise<void>;
}

export interface IdentitySource {
  /** The identity of a label set; a holder holds one identity, so acquiring again moves it. */
  acquire(labels: string[], holder: string): Promise<{ id: number }>;
  /** Idempotent. */
  release(holder: string): Promise<void>;
}

/** A route inside a container. */
export interface SandboxRoute {
  destination: string;
  gateway: string;
  /** An address of the container; the route is by the interface that has it. */
  address: string;
}

/** Routes in containers' own namespaces, where Docker's protocol has no word for them: once the container runs. */
export interface SandboxRouting {
  /** First adds, in place of what leads to the same destination, then removes. Throws where the namespace is not there. */
  change(sandbox: string, change: { add: SandboxRoute[]; remove: SandboxRoute[] }): void;
}

/** Which container labels count, in canonical form. */
export interface LabelAdmission {
  admit(labels: Record<string, string>): string[];
}

/** Durable key-value records; a `put` that resolved survives a crash. */
export interface Records {
  put(key: string, value: unknown): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  list(prefix: string): Promise<{ key: string; value: unknown }[]>;
}

export interface Container {
  id: string;
  name: string;
  labels: Record<string, string>;
  /** Names of the networks it was configured with when it was asked for, of any driver. */
  networks: string[];
}

/** One endpoint as Docker knows it. */
export interface EndpointFacts {
  networkName: string;
  container: Container;
}

/** Asks Docker whose endpoint this is; undefined when Docker does not know (yet). Rejects when it does not answer. */
export interface EndpointLookup {
  identify(networkId: string, endpointId: string, signal: AbortSignal): Promise<EndpointFacts | undefined>;
}
