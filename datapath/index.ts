/**
 * Desired state → kernel: endpoints, policy, ipcache, uplinks, conntrack.
 * Promises: nothing of a container passes before its identity and policy are in the maps; a policy is seen whole or not
 * at all; everything survives the process and is taken over by the next one. Never: speaks to Docker or to the store.
 * Trap: what an earlier process left stays in force until `commit`; start, endpoints and policy come before it.
 */
export type { Connection } from './conntrack.ts';
export { Datapath } from './datapath.ts';
export type { DatapathOptions } from './datapath.ts';
export type { Attachment, Endpoint, EndpointSpec, Owner } from './endpoint-table.ts';
export { ROUTE_TABLE, tearDownHost } from './host-device.ts';
export { textOf as prefixText } from './ipcache.ts';
export { releasePorts } from './reserved-ports.ts';
export type { PortRange } from './reserved-ports.ts';
export { type SandboxRoute, SandboxRoutes } from './sandbox-routes.ts';
export type { PortRequest, PublishedPort, Service } from './services.ts';
export type { Uplink } from './uplink-choice.ts';
