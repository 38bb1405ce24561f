import { parseCidr } from '../base/index.ts';
import { RESERVED } from '../identity/index.ts';
import { type Direction, PEER_ANY, PEER_WORLD, type PortSet, type Verdict } from './entry.ts';
import { EVERY_PORT, portSetsOf } from './item-ports.ts';
import { nestedRanges } from './nested-ranges.ts';
import type { CidrRange, EgressItem, Entity, IngressItem, LabelSelector, Rule } from './rule.ts';
import { Selector } from './selector.ts';

/** Whom an item admits, before it is known who is there. */
export interface PeerSpec {
  /** Identities and classes that are the same for every subject. */
  numbers: number[];
  /** Every endpoint on a network of the subject. */
  everyNear: boolean;
  /** Every endpoint of every network. */
  everyEndpoint: boolean;
  selectors: Selector[];
  ranges: Required<CidrRange>[];
}

/** An item of a rule: these peers on these ports. */
export interface CompiledItem {
  verdict: Verdict;
  peers: PeerSpec;
  ports: PortSet[];
  /** How the item says it, for explanations. */
  text: string;
}

export interface CompiledRule {
  /** Place in the list, from 1. */
  number: number;
  rule: Rule;
  subject: Selector;
  items: Record<Direction, CompiledItem[]>;
  /** What the endpoints that selectors allow, of whatever rule, must match besides. */
  requires: Record<Direction, Selector[]>;
  /** Whether the rule makes deny the default of its subjects. */
  enforces: Record<Direction, boolean>;
}

/** A rule list made ready for `resolve`; it depends on nothing but the rules. */
export interface CompiledPolicy {
  rules: CompiledRule[];
  /** Every address range the rules tell apart, canonical, each once: all of them need an identity and a place in the ipcache. */
  cidrs: string[];
  /** For each of them those that lie within it, itself included. */
  within: ReadonlyMap<string, readonly string[]>;
}

export function compile(rules: readonly Rule[]): CompiledPolicy {
  const compiled = rules.map((rule, at) => compileRule(rule, at + 1));
  const cidrs = rangesOf(compiled);
  return { rules: compiled, cidrs, within: nestedRanges(cidrs.map(parseCidr)) };
}

/**
 * The same policy where further ranges have identities of their own too, as while one policy takes over from another:
 * an address is then decided by all rules around it, whichever policy its range is from.
 */
export function tellApart(policy: CompiledPolicy, ranges: readonly string[]): CompiledPolicy {
  const cidrs = [...new Set([...policy.cidrs, ...ranges])];
  if (cidrs.length === policy.cidrs.length) return policy;
  return { ...policy, cidrs, within: nestedRanges(cidrs.map(parseCidr)) };
}

function compileRule(rule: Rule, number: number): CompiledRule {
  const items: CompiledRule['items'] = {
    ingress: [
      ...(rule.ingressDeny ?? []).map((item) => compileItem('deny', fromIngress(item), item)),
      ...(rule.ingress ?? []).map((item) => compileItem('allow', fromIngress(item), item)),
    ],
    egress: [
      ...(rule.egressDeny ?? []).map((item) => compileItem('deny', fromEgress(item), item)),
      ...(rule.egress ?? []).map((item) => compileItem('allow', fromEgress(item), item)),
    ],
  };
  const enforces = {
    ingress: rule.enableDefaultDeny?.ingress ?? items.ingress.length > 0,
    egress: rule.enableDefaultDeny?.egress ?? items.egress.length > 0,
  };
  const requires = {
    ingress: requirementsOf(rule.ingress?.map((item) => item.fromRequires)),
    egress: requirementsOf(rule.egress?.map((item) => item.toRequires)),
  };
  return { number, rule, subject: new Selector(rule.endpointSelector), items, requires, enforces };
}

function requirementsOf(requires: (LabelSelector[] | undefined)[] = []): Selector[] {
  const selectors = requires.flatMap((each = []) => each).map((selector) => new Selector(selector));
  return selectors.filter((selector) => !selector.isEmpty);
}

/** The peer members of an item, whichever direction it is for. */
interface PeerMembers {
  endpoints: LabelSelector[] | undefined;
  cidrs: CidrRange[] | undefined;
  entities: Entity[] | undefined;
}

function fromIngress(item: IngressItem): PeerMembers {
  const cidrs = item.fromCIDRSet ?? item.fromCIDR?.map((cidr) => ({ cidr }));
  return { endpoints: item.fromEndpoints, cidrs, entities: item.fromEntities };
}

function fromEgress(item: EgressItem): PeerMembers {
  const cidrs = item.toCIDRSet ?? item.toCIDR?.map((cidr) => ({ cidr }));
  return { endpoints: item.toEndpoints, cidrs, entities: item.toEntities };
}

function compileItem(verdict: Verdict, members: PeerMembers, item: IngressItem | EgressItem): CompiledItem {
  const ports = portSetsOf(item);
  // An item without any member admits nobody; the emptiness that means "every peer" needs a port beside it.
  const isWildcard = !members.endpoints && !members.cidrs && !members.entities && ports.length > 0;
  return {
    verdict,
    peers: isWildcard ? { ...NOBODY, numbers: [PEER_ANY] } : compilePeers(members),
    ports: ports.length === 0 ? [EVERY_PORT] : ports,
    text: JSON.stringify(item),
  };
}

const NOBODY: PeerSpec = { numbers: [], everyNear: false, everyEndpoint: false, selectors: [], ranges: [] };

function compilePeers({ endpoints = [], cidrs = [], entities = [] }: PeerMembers): PeerSpec {
  const selectors = endpoints.map((selector) => new Selector(selector));
  const all = [...cidrs, ...entities.flatMap((entity) => ENTITY_RANGES[entity] ?? [])];
  return {
    numbers: entities.flatMap((entity) => ENTITY_NUMBERS[entity]),
    everyNear: selectors.some((selector) => selector.isEmpty),
    everyEndpoint: entities.includes('cluster'),
    selectors: selectors.filter((selector) => !selector.isEmpty),
    ranges: all.map(({ cidr, except = [] }) => ({ cidr, except })),
  };
}

const ENTITY_NUMBERS: Record<Entity, number[]> = {
  all: [PEER_ANY],
  world: [PEER_WORLD],
  'world-ipv4': [RESERVED['world-ipv4']],
  'world-ipv6': [RESERVED['world-ipv6']],
  cluster: [
    RESERVED.host,
    RESERVED['remote-node'],
    RESERVED.init,
    RESERVED.health,
    RESERVED.unmanaged,
    RESERVED['kube-apiserver'],
    RESERVED.ingress,
  ],
  host: [RESERVED.host],
  'remote-node': [RESERVED['remote-node']],
  init: [RESERVED.init],
  health: [RESERVED.health],
  unmanaged: [RESERVED.unmanaged],
  'kube-apiserver': [RESERVED['kube-apiserver']],
  ingress: [RESERVED.ingress],
  none: [],
};
/** One family of the world is the range of all its addresses. */
const ENTITY_RANGES: Partial<Record<Entity, CidrRange[]>> = {
  'world-ipv4': [{ cidr: '0.0.0.0/0' }],
  'world-ipv6': [{ cidr: '::/0' }],
};

function rangesOf(rules: CompiledRule[]): string[] {
  const ranges = new Set<string>();
  for (const { items } of rules) {
    for (const { peers } of [...items.ingress, ...items.egress]) {
      for (const { cidr, except } of peers.ranges) for (const range of [cidr, ...except]) ranges.add(range);
    }
  }
  return [...ranges];
}
