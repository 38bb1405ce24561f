// Generated from agent/openapi.yaml by scripts/generate-api. Do not edit.
/* oxlint-disable */

export type Health = 'ok' | 'warning' | 'failure';
export type EndpointId = number;
export type EndpointState = 'restoring' | 'creating' | 'waiting-for-identity' | 'ready' | 'disconnecting';
export type ChangedVerdict = 'allowed' | 'denied';
/** audited: denied, and let pass because policy is only audited */
export type Judgement = 'allowed' | 'denied' | 'audited' | 'none';
export type FlowType = 'drop' | 'trace' | 'policy-verdict';
export type MonitorRecord = Flow | Lost;

export interface Error {
  /** UPPER_SNAKE, listed in docs/errors.md */
  code: string;
  /** One line */
  message: string;
  /** What to do instead */
  hint?: string;
}
export interface Component {
  state: Health;
  message: string;
  /** Facts that `weir status --verbose` shows */
  details?: {
    [k: string]: string | number | boolean;
  };
}
export interface Status {
  state: Health;
  /** By name, in the order in which they are shown */
  components: {
    [k: string]: Component;
  };
}
export interface Version {
  version: string;
  api: string;
  /** Version of Node.js */
  node: string;
  kernel: string;
}
export interface Setting {
  /** The flag without its dashes */
  name: string;
  value: string;
  source: 'flag' | 'env' | 'file' | 'default' | 'runtime';
}
export interface Options {
  /** What policy denies passes and is only told */
  policyAuditMode: 'enable' | 'disable';
}
export interface IdentityRef {
  id: number;
  /** source:key=value, sorted */
  labels: string[];
}
export interface EndpointPolicy {
  /** Rules are enforced on what it receives */
  ingress: boolean;
  /** Rules are enforced on what it sends */
  egress: boolean;
  /** The policy revision in force */
  revision: number;
  /** What it denies passes and is only told, since this endpoint or all are audited */
  audit: boolean;
}
export interface Endpoint {
  /** Small number, stable over agent restarts */
  id: number;
  /** Name of the Docker network */
  network: string;
  /** Empty until it is known */
  containerId: string;
  /** Empty until it is known */
  containerName: string;
  /** Docker's endpoint id */
  endpointId: string;
  /** Empty if it has none */
  ipv4: string;
  /** Empty if it has none */
  ipv6: string;
  mac: string;
  identity: IdentityRef;
  state: EndpointState;
  policy: EndpointPolicy;
  /** Host side of the veth pair */
  interface: string;
}
export interface Identity {
  id: number;
  labels: string[];
  /** Endpoints of this host that have it */
  endpoints: number;
}
/** A policy rule as docs/policy.md describes it */
export interface Rule {
  [k: string]: unknown;
}
export interface Policy {
  revision: number;
  rules: Rule[];
}
export interface PolicySource {
  /** How errors call the file */
  name: string;
  /** The file as it is */
  text: string;
}
export interface ImportRequest {
  /**
   * @minItems 1
   * @maxItems 10000
   */
  files: PolicySource[];
  /** The files become the whole policy */
  replaceAll?: boolean;
}
export interface Revision {
  revision: number;
  /** Rules imported or deleted */
  count: number;
}
export interface Validation {
  valid: boolean;
  /** Rules in the files */
  count: number;
}
export interface PolicyPreview {
  /** The revision that stays in force */
  revision: number;
  /** Rules in the files */
  count: number;
  /** Rules that are not in force now */
  added: number;
  /** Rules in force that would go */
  removed: number;
  changes: VerdictChange[];
  /** Changes that are not listed because they are too many */
  moreChanges: number;
  connections: ConnectionChange[];
  /** Connections that are not listed because they are too many */
  moreConnections: number;
}
/** New connections that would be judged otherwise */
export interface VerdictChange {
  source: PreviewPeer;
  destination: PreviewPeer;
  /** TCP, UDP, SCTP, ICMPv4, ICMPv6, a number, or any */
  protocol: string;
  /** Protocols that any does not mean: they have changes of their own, or none */
  except: string[];
  /** any, one port or message type, or first-last */
  ports: string;
  after: ChangedVerdict;
}
/** Containers that share their labels, the host, the world, or a range of addresses */
export interface PreviewPeer {
  /** 0 for a range of addresses */
  identity: number;
  labels: string[];
  /** Names; empty outside of this host */
  containers: string[];
}
/** A live connection whose next packet would be judged otherwise */
export interface ConnectionChange {
  protocol: string;
  source: FlowPeer;
  destination: FlowPeer;
  before: ChangedVerdict;
  after: ChangedVerdict;
}
export interface FlowPeer {
  ip: string;
  /** Absent where the protocol has none */
  port?: number;
  identity: number;
  labels: string[];
  /** Absent if it is no endpoint of this host */
  endpointId?: number;
  /** Absent if it is no container of this host */
  containerName?: string;
}
/** Exactly one of them */
export interface TraceParty {
  /**
   * @minItems 1
   * @maxItems 64
   */
  labels?: string[];
  /** As in /v1/endpoints/{id} */
  endpoint?: string;
  identity?: number;
  /** An address, or a range outside */
  address?: string;
}
export interface TracePort {
  port: number;
  protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | 'ANY';
}
export interface TraceRequest {
  source: TraceParty;
  destination: TraceParty;
  /** @maxItems 64 */
  dports?: TracePort[];
}
/** A rule that took part in the verdict */
export interface TraceMatch {
  direction: 'ingress' | 'egress';
  /** Place in the rule list from 1; 0 is the default isolation */
  rule: number;
  /** Labels of the rule */
  labels: string[];
  verdict: 'allow' | 'deny';
}
export interface TraceResult {
  /** audited: denied, and let pass because policy is only audited */
  verdict: 'allowed' | 'denied' | 'audited' | 'redirected';
  ingress: Judgement;
  egress: Judgement;
  matched: TraceMatch[];
  reason: string;
  /** The way to the verdict for a reader */
  lines?: string[];
}
export interface Wait {
  revision: number;
  reached: boolean;
}
export interface Network {
  /** Docker's network id */
  id: string;
  name: string;
  subnets: string[];
  gateways: string[];
  isolation: 'network' | 'none';
  internal: boolean;
  mtu: number;
  endpoints: number;
}
export interface Pool {
  id: string;
  cidr: string;
  /** The part that addresses are taken from */
  range: string;
  /** Empty if it has none */
  gateway: string;
  networks: string[];
  /** Addresses that can be handed out */
  capacity: number;
  allocated: number;
  /** Freed, kept back for a while */
  resting: number;
}
export interface Address {
  cidr: string;
  identity: number;
  labels: string[];
  /** Empty if it is no container of this host */
  containerName: string;
  /** 0 if it is no endpoint of this host */
  endpoint: number;
}
export interface ServiceEnd {
  address: string;
  port: number;
}
export interface Service {
  /** The same for as long as it is published */
  id: number;
  protocol: 'TCP' | 'UDP';
  frontend: ServiceEnd1;
  backends: ServiceEnd[];
  network: string;
  containerId: string;
  containerName: string;
  /** Its number on this host */
  endpoint: number;
}
/** Of this host; 0.0.0.0 and :: stand for all its addresses */
export interface ServiceEnd1 {
  address: string;
  port: number;
}
export interface BpfService {
  id: number;
  protocol: string;
  /** Of this host; 0.0.0.0 and :: stand for all its addresses */
  address: string;
  port: number;
  backendAddress: string;
  backendPort: number;
}
export interface BpfPolicyEntry {
  /** The subject */
  identity: number;
  direction: 'ingress' | 'egress';
  /** Identity or class; 0 is anyone */
  peer: number;
  /** any, same-network, world, a CIDR, or labels */
  peerName: string;
  protocol: string;
  /** any, one port, or first-last */
  port: string;
  /** published allows what came in by a published port */
  verdict: 'allow' | 'deny' | 'published';
  /** 0 is the default isolation */
  rule: number;
  generation: number;
}
export interface BpfConnection {
  protocol: string;
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  sourceIdentity: number;
  destinationIdentity: number;
  state: string;
  generation: number;
  expiresInSeconds: number;
}
export interface BpfIpcacheEntry {
  cidr: string;
  identity: number;
  /** Empty if it is of this host or the world */
  tunnelEndpoint: string;
}
export interface BpfEndpoint {
  address: string;
  /** 0 is the host itself */
  endpoint: number;
  identity: number;
  interface: string;
  ifindex: number;
  mac: string;
  flags: string[];
}
export interface BpfMetric {
  reason: string;
  /** 0 is forwarded, otherwise a drop reason */
  reasonCode: number;
  direction: 'ingress' | 'egress' | 'unknown';
  packets: number;
  bytes: number;
}
export interface FlowIcmp {
  type: number;
  code: number;
  /** EchoRequest, DestinationUnreachable, …; the number if it has no name */
  name: string;
}
export interface Flow {
  /** RFC 3339 in UTC, with nanoseconds */
  time: string;
  type: FlowType;
  /** audited: denied, and let pass because policy is only audited */
  verdict: 'forwarded' | 'dropped' | 'allowed' | 'denied' | 'audited';
  /** Why: the drop reason, the point of observation, or what the policy entry matched on */
  reason: string;
  /** Drop reason; 0 if the packet goes on */
  reasonCode: number;
  /** Seen from the endpoint whose policy decided */
  direction: 'ingress' | 'egress' | 'unknown';
  source: FlowPeer;
  destination: FlowPeer;
  /** TCP, UDP, SCTP, ICMPv4, ICMPv6, or the number */
  protocol: string;
  tcpFlags?: string[];
  icmp?: FlowIcmp;
  ctState: 'new' | 'established' | 'reply' | 'related';
  /** Place in the rule list from 1; 0 is no rule */
  rule: number;
  ruleLabels: string[];
  /** The log value of the rule; absent if it has none */
  policyLog?: string;
  policyRevision: number;
  /** Bytes */
  length: number;
  interface: string;
  /** 10.210.0.4:40312 -> 10.210.0.2:80 tcp SYN */
  summary: string;
}
export interface Lost {
  type: 'lost';
  /** Events that this client did not get */
  count: number;
}
