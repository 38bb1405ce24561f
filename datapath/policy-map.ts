/**
 * The policy map: one generation of entries in force, written whole before one word makes it count.
 * An identity that appears later is added to the generation in force; one that goes takes its entries along.
 */
import { UserError } from '../base/index.ts';
import {
  decodePolicyKey,
  encodePolicyEntry,
  encodePolicyKey,
  policyEntrySize,
  policyKeySize,
  PolicyDirection,
  PolicyScope,
  PolicyVerdict,
} from '../bpf/index.ts';
import type { Maps, PolicyEntry as MapEntry, PolicyKey } from '../bpf/index.ts';
import type { PolicyEntry } from '../policy/index.ts';

const DIRECTION = { ingress: PolicyDirection.DIRECTION_INGRESS, egress: PolicyDirection.DIRECTION_EGRESS };
const VERDICT = {
  allow: PolicyVerdict.VERDICT_ALLOW,
  deny: PolicyVerdict.VERDICT_DENY,
  published: PolicyVerdict.VERDICT_PUBLISHED,
} as const;
/** Bits of struct policy_key behind prefix_length and before protocol: generation, subject, peer, direction. */
const FIXED_BITS = 104;
const PROTOCOL_BITS = 8;
/** A packet that has read the former generation's number is through with it long before. */
const RETIRE_MS = 20;
/** Entries taken out at a time, so that a large policy holds nothing up when it goes. */
const RETIRE_AT_ONCE = 2048;

/** An entry with whose it is. */
type Owned = readonly [subject: number, entry: PolicyEntry];

/** Entries of a subject, by peer. */
type ByPeer = Map<number, PolicyEntry[]>;

function prefixLength(entry: PolicyEntry): number {
  return entry.protocol === 0 ? FIXED_BITS : FIXED_BITS + PROTOCOL_BITS + entry.portBits;
}

function scopeOf(entry: PolicyEntry): number {
  if (entry.protocol === 0) return PolicyScope.SCOPE_ANY;
  return entry.portBits === 0 ? PolicyScope.SCOPE_PROTOCOL : PolicyScope.SCOPE_PORT;
}

function keyOf(generation: number, [subject, entry]: Owned): PolicyKey {
  const { peer, protocol, port } = entry;
  const direction = DIRECTION[entry.direction];
  return { prefixLength: prefixLength(entry), generation, subject, peer, direction, protocol, port };
}

function valueOf(entry: PolicyEntry): MapEntry {
  return { verdict: VERDICT[entry.verdict], scope: scopeOf(entry), proxyPort: 0, rule: entry.rule };
}

function encodeKeys(generation: number, entries: readonly Owned[]): Buffer {
  const keys = Buffer.alloc(entries.length * policyKeySize);
  entries.forEach((owned, at) => encodePolicyKey(keyOf(generation, owned), keys, at * policyKeySize));
  return keys;
}

function encodeValues(entries: readonly Owned[]): Buffer {
  const values = Buffer.alloc(entries.length * policyEntrySize);
  entries.forEach(([, entry], at) => encodePolicyEntry(valueOf(entry), values, at * policyEntrySize));
  return values;
}

function byPeer(entries: readonly PolicyEntry[]): ByPeer {
  const groups: ByPeer = new Map();
  for (const entry of entries) {
    const group = groups.get(entry.peer);
    if (group === undefined) groups.set(entry.peer, [entry]);
    else group.push(entry);
  }
  return groups;
}

function* entriesOf(bySubject: ReadonlyMap<number, ByPeer>): Generator<Owned, undefined> {
  for (const [subject, peers] of bySubject)
    for (const entries of peers.values()) for (const entry of entries) yield [subject, entry];
}

export class PolicyMap {
  readonly #maps: Pick<Maps, 'policy' | 'config'>;
  /** What is in the map under the generation in force. */
  #bySubject = new Map<number, ByPeer>();
  #size = 0;
  #generation: number;
  /** Entries that no longer count and are still to be taken out. */
  #retired: { generation: number; entries: Iterator<Owned, undefined> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether entries of an earlier process are in the map. */
  #isInherited = true;

  constructor(maps: Pick<Maps, 'policy' | 'config'>) {
    this.#maps = maps;
    this.#generation = maps.config.get(0)?.generation ?? 0;
  }

  /** Number of the generation in force; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** Entries in force, over all subjects. */
  get size(): number {
    return this.#size;
  }

  /** Most entries that a policy may have: a revision must fit beside the one before it. */
  get capacity(): number {
    return Math.floor(this.#maps.policy.map.maxEntries / 2);
  }

  hasSubject(subject: number): boolean {
    return this.#bySubject.has(subject);
  }

  /**
   * Makes `desired` the policy of the host, seen whole or not at all. Throws with the old one still in force, and
   * UserError POLICY_TOO_LARGE before anything is written.
   */
  replace(desired: ReadonlyMap<number, readonly PolicyEntry[]>): void {
    const next = this.#generation + 1;
    const bySubject = new Map([...desired].map(([subject, entries]) => [subject, byPeer(entries)]));
    const entries = [...entriesOf(bySubject)];
    this.#refuse(entries.length);
    this.#finishRetiring();
    // what an import cut short has left under the very number
    if (this.#isInherited) this.#sweep();
    this.#write(next, entries, () => this.#flip(next));
    if (this.#isInherited) this.#sweep();
    else this.#retire(next - 1, entriesOf(this.#bySubject));
    this.#isInherited = false;
    this.#bySubject = bySubject;
    this.#size = entries.length;
  }

  /** Adds a subject's entries towards peers that it has none for yet; those it has are left as they are. */
  add(subject: number, entries: readonly PolicyEntry[]): void {
    const present = this.#bySubject.get(subject) ?? new Map<number, PolicyEntry[]>();
    const fresh = entries.filter((entry) => !present.has(entry.peer));
    this.#refuse(this.#size + fresh.length);
    this.#write(
      this.#generation,
      fresh.map((entry) => [subject, entry] as const),
    );
    for (const [peer, group] of byPeer(fresh)) present.set(peer, group);
    this.#bySubject.set(subject, present);
    this.#size += fresh.length;
  }

  /** Takes out identities, as subjects and as peers of others. */
  remove(identities: readonly number[]): void {
    const gone: Owned[] = [];
    for (const identity of identities) {
      for (const entries of this.#bySubject.get(identity)?.values() ?? [])
        gone.push(...entries.map((entry) => [identity, entry] as const));
      this.#bySubject.delete(identity);
    }
    for (const [subject, peers] of this.#bySubject) {
      for (const identity of identities) {
        const entries = peers.get(identity);
        if (entries === undefined) continue;
        gone.push(...entries.map((entry) => [subject, entry] as const));
        peers.delete(identity);
      }
    }
    this.#size -= gone.length;
    this.#maps.policy.map.deleteBatch(encodeKeys(this.#generation, gone), gone.length);
  }

  /** Touches the map no more; what is still to be taken out is swept by the next process. */
  close(): void {
    clearTimeout(this.#timer);
    this.#retired = undefined;
  }

  #refuse(size: number): void {
    if (size <= this.capacity) return;
    throw new UserError(
      'POLICY_TOO_LARGE',
      `policy comes to ${size} entries in the kernel, and there is room for ${this.capacity}`,
      { hint: 'write fewer ports, or ranges of ports and addresses in their place' },
    );
  }

  /** All of them and what comes after, or nothing. */
  #write(generation: number, entries: readonly Owned[], then?: () => void): void {
    const { map } = this.#maps.policy;
    const keys = encodeKeys(generation, entries);
    try {
      map.updateBatch(keys, encodeValues(entries), entries.length);
      then?.();
    } catch (error) {
      map.deleteBatch(keys, entries.length);
      throw error;
    }
  }

  #flip(generation: number): void {
    const config = this.#maps.config.get(0);
    if (config !== undefined) this.#maps.config.set(0, { ...config, generation });
    this.#generation = generation;
  }

  #retire(generation: number, entries: Iterator<Owned, undefined>): void {
    this.#retired = { generation, entries };
    this.#timer = setInterval(() => this.#takeOut(RETIRE_AT_ONCE), RETIRE_MS);
    this.#timer.unref();
  }

  #finishRetiring(): void {
    while (this.#retired !== undefined) this.#takeOut(RETIRE_AT_ONCE);
  }

  #takeOut(most: number): void {
    if (this.#retired === undefined) return;
    const { generation, entries } = this.#retired;
    const some: Owned[] = [];
    let next = entries.next();
    while (next.done !== true) {
      some.push(next.value);
      if (some.length === most) break;
      next = entries.next();
    }
    this.#maps.policy.map.deleteBatch(encodeKeys(generation, some), some.length);
    if (next.done !== true) return;
    this.#retired = undefined;
    clearInterval(this.#timer);
  }

  /** Takes out whatever is not of the generation in force. */
  #sweep(): void {
    const { map } = this.#maps.policy;
    const stale = [...map.keys()].filter((key) => decodePolicyKey(key).generation !== this.#generation);
    map.deleteBatch(Buffer.concat(stale), stale.length);
  }
}
