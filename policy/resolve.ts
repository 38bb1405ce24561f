import { RESERVED, isEndpointIdentity } from '../identity/index.ts';
import type { CompiledItem, CompiledPolicy, CompiledRule, PeerSpec } from './compile.ts';
import { type Direction, EntryGroup, PEER_NETWORK, type PolicyEntry, type PortSet } from './entry.ts';
import { type Peer, type PolicyContext, defaultEntries, sameNetwork } from './isolation.ts';
import type { Selector } from './selector.ts';

export interface Resolution {
  /** In no particular order; each names a different (direction, peer, protocol, port prefix). */
  entries: PolicyEntry[];
  /** Whether rules decide what comes in. If not, the default isolation does, and rules only add to it or deny. */
  ingressEnforced: boolean;
  egressEnforced: boolean;
}

/**
 * The map entries of a subject towards the peers given. Entries towards classes (anybody, network, world) and reserved
 * identities come with every call, so a peer that appears later is added by resolving for that peer alone.
 */
export function resolve(
  policy: CompiledPolicy,
  subject: Peer,
  peers: readonly Peer[],
  context: PolicyContext,
): Resolution {
  const side = new Side(policy, subject, peers, context);
  const [ingress, egress] = [side.isEnforced('ingress'), side.isEnforced('egress')];
  return {
    entries: [...resolveDirection('ingress', side, ingress), ...resolveDirection('egress', side, egress)],
    ingressEnforced: ingress,
    egressEnforced: egress,
  };
}

/** Like the other reserved identities it is a peer of everybody, named or not. */
const INIT: Peer = { id: RESERVED.init, labels: ['reserved:init'] };

interface KnownPeer {
  peer: Peer;
  isNear: boolean;
}

/** A subject among its peers: who of them an item admits. */
export class Side {
  readonly rules: CompiledRule[];
  readonly #policy: CompiledPolicy;
  readonly #subject: Peer;
  readonly #mode: PolicyContext['mode'];
  readonly #endpoints: KnownPeer[];
  readonly #rangeIds = new Map<string, number>();

  /** The parameters of `resolve`. */
  constructor(policy: CompiledPolicy, subject: Peer, peers: readonly Peer[], context: PolicyContext) {
    this.#policy = policy;
    this.#subject = subject;
    this.#mode = context.mode;
    this.rules = context.mode === 'never' ? [] : policy.rules.filter((rule) => rule.subject.matches(subject));
    const endpoints = [INIT, ...peers.filter((peer) => isEndpointIdentity(peer.id))];
    this.#endpoints = endpoints.map((peer) => ({ peer, isNear: sameNetwork(subject, peer, context) }));
    for (const { id, cidr } of peers) if (cidr !== undefined) this.#rangeIds.set(cidr, id);
  }

  /** An endpoint whose labels are not known yet is denied in every mode, since no mode can know what it is. */
  isEnforced(direction: Direction): boolean {
    if (this.#subject.id === RESERVED.init || this.#mode === 'always') return true;
    return this.rules.some((rule) => rule.enforces[direction]);
  }

  /** The identities and classes an item admits. */
  admitted(direction: Direction, { peers, verdict }: CompiledItem): Set<number> {
    const requires = verdict === 'allow' ? this.rules.flatMap((rule) => rule.requires[direction]) : [];
    const numbers = new Set(peers.numbers);
    // The class is who shares a network, whatever the labels: where labels are required it says too much.
    if (peers.everyNear && requires.length === 0) numbers.add(PEER_NETWORK);
    for (const known of this.#endpoints) if (selects(peers, requires, known)) numbers.add(known.peer.id);
    for (const id of this.#rangesOf(peers)) numbers.add(id);
    return numbers;
  }

  /** A range that policy names is in a rule's range whole or not at all, because every exception is a range of its own. */
  *#rangesOf(spec: PeerSpec): Generator<number> {
    const within = (cidr: string): readonly string[] => this.#policy.within.get(cidr) ?? [];
    for (const { cidr, except } of spec.ranges) {
      const holes = new Set(except.flatMap(within));
      for (const text of within(cidr)) {
        const id = holes.has(text) ? undefined : this.#rangeIds.get(text);
        if (id !== undefined) yield id;
      }
    }
  }
}

function selects(spec: PeerSpec, requires: readonly Selector[], { peer, isNear }: KnownPeer): boolean {
  if (spec.everyEndpoint && peer.id !== RESERVED.init) return true;
  const isNamed = spec.selectors.some((selector) => admits(selector, peer, isNear));
  const isOneOfAll = spec.everyNear && isNear && requires.length > 0;
  return (isNamed || isOneOfAll) && requires.every((selector) => selector.matches(peer));
}

/** Selectors reach as far as the subject's networks unless they say how far. */
function admits(selector: Selector, peer: Peer, isNear: boolean): boolean {
  return (isNear || selector.namesNetwork || peer.id === RESERVED.init) && selector.matches(peer);
}

function resolveDirection(direction: Direction, side: Side, enforced: boolean): PolicyEntry[] {
  const groups = new Map<number, EntryGroup>();
  const add = (entry: PolicyEntry): void => {
    let group = groups.get(entry.peer);
    if (group === undefined) groups.set(entry.peer, (group = new EntryGroup()));
    group.add(entry);
  };
  if (!enforced) for (const entry of defaultEntries(direction)) add(entry);
  for (const rule of side.rules) {
    for (const item of rule.items[direction]) {
      for (const peer of side.admitted(direction, item)) {
        for (const ports of item.ports) add(entryOf({ direction, peer, item, rule }, ports));
      }
    }
  }
  return [...groups.values()].flatMap((group) => [...group.entries()]);
}

interface EntryOrigin {
  direction: Direction;
  peer: number;
  item: CompiledItem;
  rule: CompiledRule;
}

function entryOf({ direction, peer, item, rule }: EntryOrigin, ports: PortSet): PolicyEntry {
  return { direction, peer, ...ports, verdict: item.verdict, rule: rule.number };
}
