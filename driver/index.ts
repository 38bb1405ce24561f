/**
 * Everything that speaks to Docker: the NetworkDriver calls of its plugin protocol, and its API for what that protocol
 * does not tell (names, labels, what vanished).
 * Promises: a call is answered only when its outcome is durable and in the datapath; a refused or failed call leaves
 * nothing; a repeated one is harmless; no call waits for Docker's API longer than 200 ms.
 * Never: a container without its labels gets more than `init`; IPAM is not this floor's.
 * Trap: dockerd holds a container's lock during our calls, so asking it for that container's details never returns.
 */
export type {
  Attachment,
  Container,
  EndpointDatapath,
  EndpointFacts,
  EndpointLookup,
  EndpointSpec,
  IdentitySource,
  LabelAdmission,
  NetworkSpec,
  Owner,
  PortRequest,
  PublishedPort,
  Records,
} from './contract.ts';
export { DockerClient } from './docker-client.ts';
export type { EndpointState, EndpointView } from './endpoint.ts';
export { Endpoints, type EndpointsOptions } from './endpoints.ts';
export { createNetworkDriver, type NetworkDriverOptions } from './network-driver.ts';
export { type Network, Networks } from './networks.ts';
export { createPluginApp, type PluginAppOptions } from './plugin-app.ts';
export { Reconciler, type ReconcilerOptions } from './reconciler.ts';
export { withinMs } from './time-limit.ts';
