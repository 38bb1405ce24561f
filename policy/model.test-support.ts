/**
 * What a policy means, written down by its definition: rules are read one by one for one packet. No entries, no prefixes,
 * no identities, and nothing imported from the code under test but types.
 */
import { BlockList, isIPv6 } from 'node:net';
import type { CidrRange, EgressItem, IcmpRule, IngressItem, LabelSelector, PortRule, Rule } from './rule.ts';

type ModelReserved = 'host' | 'world' | 'remote-node' | 'health' | 'unmanaged' | 'kube-apiserver' | 'ingress';

export type ModelPeer =
  /** `labels`: [source, key, value]. */
  | { kind: 'endpoint'; labels: [string, string, string][]; networks: string[] }
  | { kind: 'init' }
  | { kind: 'reserved'; name: ModelReserved }
  | { kind: 'address'; address: string };

export interface ModelPacket {
  direction: 'ingress' | 'egress';
  subject: ModelPeer;
  peer: ModelPeer;
  protocol: number;
  port: number;
  /** It came in by a published port of the host. */
  published?: boolean;
}

export interface ModelContext {
  mode: 'default' | 'always' | 'never';
  /** Networks without isolation. */
  open: readonly string[];
}

export interface ModelVerdict {
  reason: 0 | 133 | 181;
  /** Rules (from 1) with an item that fits the packet and says so; 0 stands for the default isolation. */
  because: number[];
}

export function model(rules: Rule[], packet: ModelPacket, context: ModelContext): ModelVerdict {
  const { direction, subject, peer } = packet;
  const selecting = rules
    .map((rule, at) => ({ rule, number: at + 1 }))
    .filter(({ rule }) => context.mode !== 'never' && selects(rule.endpointSelector, subject));
  const required = selecting.flatMap(({ rule }) => requirementsOf(rule, direction));
  const saying = (
    items: (rule: Rule) => (IngressItem | EgressItem)[] | undefined,
    requires: LabelSelector[],
  ): number[] =>
    selecting
      .filter(({ rule }) => (items(rule) ?? []).some((item) => fits(item, packet, { ...context, requires })))
      .map(({ number }) => number);
  const denying = saying((rule) => (direction === 'ingress' ? rule.ingressDeny : rule.egressDeny), []);
  if (denying.length > 0) return { reason: 181, because: denying };
  const allowing = saying((rule) => (direction === 'ingress' ? rule.ingress : rule.egress), required);
  const enforced =
    context.mode === 'always' ||
    subject.kind === 'init' ||
    selecting.some(({ rule }) => {
      const has =
        direction === 'ingress' ? (rule.ingress ?? rule.ingressDeny) : (rule.egress ?? rule.egressDeny);
      return rule.enableDefaultDeny?.[direction] ?? has !== undefined;
    });
  if (!enforced && (packet.published || passesByDefault(direction, subject, peer, context))) allowing.push(0);
  return { reason: allowing.length > 0 ? 0 : 133, because: allowing };
}

function requirementsOf(rule: Rule, direction: 'ingress' | 'egress'): LabelSelector[] {
  const items: (IngressItem & EgressItem)[] = (direction === 'ingress' ? rule.ingress : rule.egress) ?? [];
  const selectors = items.flatMap((item) => item.fromRequires ?? item.toRequires ?? []);
  return selectors.filter((selector) => keysOf(selector).length > 0);
}

interface Judging extends ModelContext {
  /** Whoever labels admit must match these too. */
  requires: LabelSelector[];
}

function passesByDefault(
  direction: 'ingress' | 'egress',
  subject: ModelPeer,
  peer: ModelPeer,
  context: ModelContext,
): boolean {
  if (isNear(subject, peer, context) || (peer.kind === 'reserved' && peer.name === 'host')) return true;
  return direction === 'egress' && isOutside(peer);
}

function isOutside(peer: ModelPeer): boolean {
  return peer.kind === 'address' || (peer.kind === 'reserved' && peer.name === 'world');
}

function isNear(a: ModelPeer, b: ModelPeer, { open }: ModelContext): boolean {
  if (a.kind !== 'endpoint' || b.kind !== 'endpoint') return false;
  const isOpen = (network: string): boolean => open.includes(network);
  if (a.networks.some(isOpen) && b.networks.some(isOpen)) return true;
  return a.networks.some((network) => b.networks.includes(network));
}

function fits(item: IngressItem & EgressItem, packet: ModelPacket, context: Judging): boolean {
  return isPeerOf(item, packet, context) && isPassing(item, packet);
}

function isPeerOf(item: IngressItem & EgressItem, packet: ModelPacket, context: Judging): boolean {
  const { subject, peer } = packet;
  const selectors = item.fromEndpoints ?? item.toEndpoints;
  if (selectors !== undefined) {
    return selectors.some((selector) => {
      if (!context.requires.every((each) => selects(each, peer))) return false;
      const keys = keysOf(selector);
      if (keys.length === 0) return isNear(subject, peer, context);
      const reaches = isNear(subject, peer, context) || keys.includes('weir:network') || peer.kind === 'init';
      return reaches && selects(selector, peer);
    });
  }
  const ranges: CidrRange[] | undefined =
    item.fromCIDRSet ?? item.toCIDRSet ?? (item.fromCIDR ?? item.toCIDR)?.map((cidr) => ({ cidr }));
  if (ranges !== undefined) {
    if (peer.kind !== 'address') return false;
    return ranges.some(
      ({ cidr, except = [] }) =>
        contains(cidr, peer.address) && !except.some((hole) => contains(hole, peer.address)),
    );
  }
  const entities = item.fromEntities ?? item.toEntities;
  if (entities !== undefined) return entities.some((entity) => isEntity(entity, peer));
  return namesTraffic(item);
}

function namesTraffic({ toPorts = [], icmps = [] }: IngressItem & EgressItem): boolean {
  return toPorts.length + icmps.length > 0;
}

function isEntity(entity: string, peer: ModelPeer): boolean {
  const name = peer.kind === 'reserved' ? peer.name : peer.kind;
  if (entity === 'all') return true;
  if (entity === 'none') return false;
  if (entity === 'world') return isOutside(peer);
  if (entity === 'cluster') return !isOutside(peer);
  if (entity === 'world-ipv4') return peer.kind === 'address' && !isIPv6(peer.address);
  if (entity === 'world-ipv6') return peer.kind === 'address' && isIPv6(peer.address);
  return entity === name;
}

function contains(cidr: string, address: string): boolean {
  const [base = '', length = isIPv6(base) ? '128' : '32'] = cidr.split('/');
  if (isIPv6(base) !== isIPv6(address)) return false;
  const family = isIPv6(base) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(base, Number(length), family);
  return list.check(address, family);
}

const NUMBERS: Record<string, number> = { TCP: 6, UDP: 17, SCTP: 132 };
const NAMES: Record<string, number> = { http: 80, https: 443, domain: 53 };

function isPassing(item: IngressItem & EgressItem, packet: ModelPacket): boolean {
  if (!namesTraffic(item)) return true;
  return isPortOf(item.toPorts ?? [], packet) || isMessageOf(item.icmps ?? [], packet);
}

/** Of a message, the port is its type. */
function isMessageOf(rules: IcmpRule[], { protocol, port }: ModelPacket): boolean {
  const family = { 1: 'IPv4', 58: 'IPv6' }[protocol];
  return rules.some((rule) => rule.fields.some((each) => each.family === family && each.type === port));
}

function isPortOf(rules: PortRule[], { protocol, port }: ModelPacket): boolean {
  const specs = rules.flatMap((rule) => rule.ports);
  return specs.some((spec) => {
    const first = NAMES[spec.port] ?? Number(spec.port);
    if (spec.protocol !== 'ANY' && NUMBERS[spec.protocol] !== protocol) return false;
    if (first === 0) return true;
    return Object.values(NUMBERS).includes(protocol) && port >= first && port <= (spec.endPort ?? first);
  });
}

function keysOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string[] {
  return [...Object.keys(matchLabels), ...matchExpressions.map(({ key }) => key)];
}

function selects(selector: LabelSelector, peer: ModelPeer): boolean {
  const keys = keysOf(selector);
  if (peer.kind === 'init' ? !keys.includes('reserved:init') : peer.kind !== 'endpoint') return false;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => valuesOf(peer, key).includes(value)) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const found = valuesOf(peer, key);
      const hit = found.some((value) => values.includes(value));
      return { In: hit, NotIn: !hit, Exists: found.length > 0, DoesNotExist: found.length === 0 }[operator];
    })
  );
}

function valuesOf(peer: ModelPeer, text: string): string[] {
  if (peer.kind === 'init') return text === 'reserved:init' ? [''] : [];
  if (peer.kind !== 'endpoint') return [];
  if (text === 'weir:network') return peer.networks;
  const [first = '', ...rest] = text.split(':');
  const [source, key] = rest.length > 0 ? [first, rest.join(':')] : ['any', first];
  return peer.labels
    .filter((label) => label[1] === key && (source === 'any' || label[0] === source))
    .map((label) => label[2]);
}
