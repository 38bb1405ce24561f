/**
 * Rules as `parsePolicy` returns them: valid, in the field's API form, with canonical names, addresses and protocols.
 * They are plain JSON, and parsing that JSON gives the same rules again.
 */

export type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

export interface LabelExpression {
  key: string;
  operator: Operator;
  values?: string[];
}

/** All of it must match. Keys may name a source (`container:id`); without one, any source counts. */
export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: LabelExpression[];
}

export interface CidrRange {
  cidr: string;
  except?: string[];
}

export type Entity =
  | 'all'
  | 'world'
  | 'world-ipv4'
  | 'world-ipv6'
  | 'cluster'
  | 'host'
  | 'remote-node'
  | 'init'
  | 'health'
  | 'unmanaged'
  | 'kube-apiserver'
  | 'ingress'
  | 'none';

export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ANY';

export interface PortSpec {
  /** A number, or a service name of the IANA registry. "0": every port. */
  port: string;
  /** Last port of a range that starts at `port`. */
  endPort?: number;
  protocol: Protocol;
}

export interface PortRule {
  ports: PortSpec[];
}

export type IcmpFamily = 'IPv4' | 'IPv6';

export interface IcmpType {
  family: IcmpFamily;
  type: number;
}

export interface IcmpRule {
  fields: IcmpType[];
}

/** Peer AND port (or ICMP type, never both); at most one of the peer members. A member that is an empty list means nobody; none of them, anybody. */
export interface IngressItem {
  fromEndpoints?: LabelSelector[];
  /** Grants nothing: whoever a `fromEndpoints` of any rule admits to these subjects must match all of it as well. */
  fromRequires?: LabelSelector[];
  fromCIDR?: string[];
  fromCIDRSet?: CidrRange[];
  fromEntities?: Entity[];
  toPorts?: PortRule[];
  icmps?: IcmpRule[];
}

export interface EgressItem {
  toEndpoints?: LabelSelector[];
  toRequires?: LabelSelector[];
  toCIDR?: string[];
  toCIDRSet?: CidrRange[];
  toEntities?: Entity[];
  toPorts?: PortRule[];
  icmps?: IcmpRule[];
}

export interface Rule {
  /** Canonical label texts; they name the rule for replacing and deleting, and select nothing. */
  labels?: string[];
  description?: string;
  endpointSelector: LabelSelector;
  ingress?: IngressItem[];
  ingressDeny?: IngressItem[];
  egress?: EgressItem[];
  egressDeny?: EgressItem[];
  /** Whether the rule denies what no rule allows; absent: in the directions it has items for. */
  enableDefaultDeny?: { ingress?: boolean; egress?: boolean };
  /** Goes along with the flows that the rule decides. */
  log?: { value: string };
}
