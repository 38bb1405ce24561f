/** One endpoint: a container's place on one weir network. */
import { RESERVED } from '../identity/index.ts';
import type { Attachment, Container, Owner, PublishedPort } from './contract.ts';

export interface Endpoint {
  /** Docker's endpoint id; new at every start of the container. */
  key: string;
  networkId: string;
  /** At least one of the two. */
  ipv4?: string;
  ipv6?: string;
  /** Prefixes that the masks of its addresses put on the link. */
  onLink?: string;
  onLink6?: string;
  mac: string;
  state: 'created' | 'joined' | 'left';
  /** Last time Docker had it made, joined or left; after a restart, the time of the restart. */
  touchedAt: number;
  attachment?: Attachment;
  /** Network namespace: all endpoints with the same one are of one container. */
  sandbox?: string;
  /** Missing while Docker has not told whose it is. */
  container?: Container;
  /** What policy denies it passes and is only told. */
  audit?: true;
  /** Destinations given as static routes. */
  routes: string[];
  /** Ports of the host that lead here. */
  ports: PublishedPort[];
  /** What the datapath was told last. */
  owner?: Owner;
  /** Labels of the identity it has. */
  labels: string[];
}

/** What survives a restart; identity and owner follow from it. */
export type EndpointRecord = Omit<Endpoint, 'owner' | 'labels' | 'touchedAt'>;

export function recordOf(endpoint: Endpoint): EndpointRecord {
  const { owner: _owner, labels: _labels, touchedAt: _touchedAt, ...record } = endpoint;
  return structuredClone(record);
}

/** The addresses that it has. */
export function addressesOf({ ipv4, ipv6 }: Pick<Endpoint, 'ipv4' | 'ipv6'>): string[] {
  return [ipv4, ipv6].filter((address) => address !== undefined);
}

/** States as the API names them. */
export type EndpointState = 'creating' | 'waiting-for-identity' | 'ready' | 'disconnecting' | 'restoring';

/** An endpoint as others may see it; nothing in it is shared with the driver. */
export interface EndpointView {
  key: string;
  endpointId?: number;
  hostInterface?: string;
  networkId: string;
  network: string;
  containerId: string;
  containerName: string;
  /** Empty where it has none of that family. */
  ipv4: string;
  ipv6: string;
  mac: string;
  /** 0 before it has one. */
  identity: number;
  labels: string[];
  /** Ports of the host that lead here. */
  ports: PublishedPort[];
  state: EndpointState;
  audit: boolean;
}

function stateOf({ state, owner }: Endpoint): EndpointState {
  if (state === 'left') return 'disconnecting';
  if (state === 'created') return 'creating';
  if (owner === undefined) return 'restoring';
  return owner.identity === RESERVED.init ? 'waiting-for-identity' : 'ready';
}

export function viewOf(endpoint: Endpoint, networkName: string): EndpointView {
  const { key, networkId, ipv4 = '', ipv6 = '', mac, attachment, container, owner, labels, ports } = endpoint;
  const place = attachment && { endpointId: attachment.endpointId, hostInterface: attachment.hostInterface };
  return {
    key,
    ...place,
    networkId,
    network: networkName,
    containerId: container?.id ?? '',
    containerName: container?.name ?? '',
    ipv4,
    ipv6,
    mac,
    identity: owner?.identity ?? 0,
    labels: [...labels],
    ports: ports.map((port) => ({ ...port })),
    state: stateOf(endpoint),
    audit: endpoint.audit === true,
  };
}
