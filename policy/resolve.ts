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

/** What of a list of peers is the same for every subject; found once per list, because a host has many subjects. */
interface Listed {
  endpoints: Peer[];
  rangeIds: ReadonlyMap<string, number>;
}

const listed = new WeakMap<readonly Peer[], Listed>();

function listedOf(peers: readonly Peer[]): Listed {
  const known = listed.get(peers);
  if (known !== undefined) return known;
  const endpoints = [INIT, ...peers.filter((peer) => isEndpointIdentity(peer.id))];
  const ranges = peers.flatMap(({ id, cidr }) => (cidr === undefined ? [] : [[cidr, id] as const]));
  const found = { endpoints, rangeIds: new Map(ranges) };
  listed.set(peers, found);
  return found;
}

/** A subject among its peers: who of them an item admits. */
export class Side {
  readonly rules: CompiledRule[];
  readonly #policy: CompiledPolicy;
  readonly #subject: Peer;
  readonly #context: PolicyContext;
  readonly #peers: Listed;

  /** The parameters of `resolve`. `peers` is not to change afterwards. */
  constructor(policy: CompiledPolicy, subject: Peer, peers: readonly Peer[], context: PolicyContext) {
    this.#policy = policy;
    this.#subject = subject;
    this.#context = context;
    this.#peers = listedOf(peers);
    this.rules = context.mode === 'never' ? [] : policy.rules.filter((rule) => rule.subject.matches(subject));
  }

  /** An endpoint whose labels are not known yet is denied in every mode, since no mode can know what it is. */
  isEnforced(direction: Direction): boolean {
    if (this.#subject.id === RESERVED.init || this.#context.mode === 'always') return true;
    return this.rules.some((rule) => rule.enforces[direction]);
  }

  /** The identities and classes an item admits. */
  admitted(direction: Direction, { peers, verdict }: CompiledItem): Set<number> {
    const requires = verdict === 'allow' ? this.rules.flatMap((rule) => rule.requires[direction]) : [];
    const numbers = new Set(peers.numbers);
    // The class is who shares a network, whatever the labels: where labels are required it says too much.
    if (peers.everyNear && requires.length === 0) numbers.add(PEER_NETWORK);
    for (const peer of this.#peers.endpoints) if (this.#selects(peers, requires, peer)) numbers.add(peer.id);
    for (const id of this.#rangesOf(peers)) numbers.add(id);
    return numbers;
  }

  /** A range that policy names is in a rule's range whole or not at all, because every exception is a range of its own. */
  *#rangesOf(spec: PeerSpec): Generator<number> {
    const within = (cidr: string): readonly string[] => this.#policy.within.get(cidr) ?? [];
    for (const { cidr, except } of spec.ranges) {
      const holes = new Set(except.flatMap(within));
      for (const text of within(cidr)) {
        const id = holes.has(text) ? undefined : this.#peers.rangeIds.get(text);
        if (id !== undefined) yield id;
      }
    }
  }

  #selects(spec: PeerSpec, requires: readonly Selector[], peer: Peer): boolean {
    if (spec.everyEndpoint && peer.id !== RESERVED.init) return true;
    const isNamed = spec.selectors.some((selector) => this.#admits(selector, peer));
    const isOneOfAll = spec.everyNear && requires.length > 0 && this.#isNear(peer);
    return (isNamed || isOneOfAll) && requires.every((selector) => selector.matches(peer));
  }

  /** Selectors reach as far as the subject's networks unless they say how far. */
  #admits(selector: Selector, peer: Peer): boolean {
    return (
      selector.matches(peer) && (selector.namesNetwork || peer.id === RESERVED.init || this.#isNear(peer))
    );
  }

  #isNear(peer: Peer): boolean {
    return sameNetwork(this.#subject, peer, this.#context);
  }
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
