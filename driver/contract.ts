/**
 * What this floor needs from the others, as small interfaces: the datapath, identities, durable records, Docker.
 * The agent passes the real ones; tests pass fakes.
 */
import type { Datapath, SandboxRoutes } from '../datapath/index.ts';

export type {
  Attachment,
  EndpointSpec,
  Owner,
  PortRequest,
  PublishedPort,
  SandboxRoute,
} from '../datapath/index.ts';

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

/** Endpoints and their ports in the kernel. */
export type EndpointDatapath = Pick<
  Datapath,
  | 'createEndpoint'
  | 'activateEndpoint'
  | 'publishPorts'
  | 'restorePorts'
  | 'unpublishPorts'
  | 'removeEndpoint'
>;

export interface IdentitySource {
  /** The identity of a label set; a holder holds one identity, so acquiring again moves it. */
  acquire(labels: string[], holder: string): Promise<{ id: number }>;
  /** Idempotent. */
  release(holder: string): Promise<void>;
}

/** Routes in containers' own namespaces, where Docker's protocol has no word for them: once the container runs. */
export type SandboxRouting = Pick<SandboxRoutes, 'change'>;

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
