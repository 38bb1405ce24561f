/**
 * The policy map: one generation of entries in force, written whole before one word makes it count.
 * An identity that appears later is added to the generation in force; one that goes takes its entries along.
 */
import { PolicyDirection, PolicyScope, PolicyVerdict } from '../bpf/index.ts';
import type { Maps, PolicyEntry as MapEntry, PolicyKey } from '../bpf/index.ts';
import type { PolicyEntry } from '../policy/index.ts';

const DIRECTION = { ingress: PolicyDirection.DIRECTION_INGRESS, egress: PolicyDirection.DIRECTION_EGRESS };
/** Bits of struct policy_key behind prefix_length and before protocol: generation, subject, peer, direction. */
const FIXED_BITS = 104;
const PROTOCOL_BITS = 8;

type Pair = readonly [PolicyKey, MapEntry];

function prefixLength(entry: PolicyEntry): number {
  return entry.protocol === 0 ? FIXED_BITS : FIXED_BITS + PROTOCOL_BITS + entry.portBits;
}

function scopeOf(entry: PolicyEntry): number {
  if (entry.protocol === 0) return PolicyScope.SCOPE_ANY;
  return entry.portBits === 0 ? PolicyScope.SCOPE_PROTOCOL : PolicyScope.SCOPE_PORT;
}

function pairOf(generation: number, subject: number, entry: PolicyEntry): Pair {
  return [
    {
      prefixLength: prefixLength(entry),
      generation,
      subject,
      peer: entry.peer,
      direction: DIRECTION[entry.direction],
      protocol: entry.protocol,
      port: entry.port,
    },
    {
      verdict: entry.verdict === 'allow' ? PolicyVerdict.VERDICT_ALLOW : PolicyVerdict.VERDICT_DENY,
      scope: scopeOf(entry),
      proxyPort: 0,
      rule: entry.rule,
    },
  ];
}

export class PolicyMap {
  readonly #maps: Pick<Maps, 'policy' | 'config'>;
  /** What is in the map under the generation in force, by subject. */
  #bySubject = new Map<number, PolicyEntry[]>();
  #generation: number;

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
    let size = 0;
    for (const entries of this.#bySubject.values()) size += entries.length;
    return size;
  }

  hasSubject(subject: number): boolean {
    return this.#bySubject.has(subject);
  }

  /** Makes `desired` the policy of the host, seen whole or not at all. Throws with the old one still in force. */
  replace(desired: Map<number, PolicyEntry[]>): void {
    const previous = this.#generation;
    const next = previous + 1;
    const pairs = [...desired].flatMap(([subject, entries]) =>
      entries.map((entry) => pairOf(next, subject, entry)),
    );
    try {
      this.#maps.policy.setAll(pairs);
      this.#flip(next);
    } catch (error) {
      this.#maps.policy.deleteAll(pairs.map(([key]) => key));
      throw error;
    }
    const old = this.#bySubject;
    this.#bySubject = new Map([...desired].map(([subject, entries]) => [subject, [...entries]]));
    for (const [subject, entries] of old) this.#erase(previous, subject, entries);
  }

  /** Adds entries of one subject to the generation in force; what is there already stays. */
  add(subject: number, entries: readonly PolicyEntry[]): void {
    const present = this.#bySubject.get(subject) ?? [];
    const known = new Set(present.map(identify));
    const fresh = entries.filter((entry) => !known.has(identify(entry)));
    this.#maps.policy.setAll(fresh.map((entry) => pairOf(this.#generation, subject, entry)));
    this.#bySubject.set(subject, [...present, ...fresh]);
  }

  /** Takes out an identity, as a subject and as a peer of others. */
  remove(identity: number): void {
    for (const [subject, entries] of this.#bySubject) {
      const gone = subject === identity ? entries : entries.filter((entry) => entry.peer === identity);
      if (gone.length > 0) this.#erase(this.#generation, subject, gone);
      if (subject === identity) this.#bySubject.delete(subject);
      else if (gone.length > 0)
        this.#bySubject.set(
          subject,
          entries.filter((entry) => entry.peer !== identity),
        );
    }
  }

  /** Takes out whatever belongs to no generation in force: an import that a crash cut short. */
  sweep(): void {
    const stale: PolicyKey[] = [];
    for (const [key] of this.#maps.policy.entries()) if (key.generation !== this.#generation) stale.push(key);
    this.#maps.policy.deleteAll(stale);
  }

  #flip(generation: number): void {
    const config = this.#maps.config.get(0);
    if (config !== undefined) this.#maps.config.set(0, { ...config, generation });
    this.#generation = generation;
  }

  #erase(generation: number, subject: number, entries: readonly PolicyEntry[]): void {
    this.#maps.policy.deleteAll(entries.map((entry) => pairOf(generation, subject, entry)[0]));
  }
}

function identify({ direction, peer, protocol, port, portBits }: PolicyEntry): string {
  return `${direction} ${peer} ${protocol} ${port} ${portBits}`;
}
