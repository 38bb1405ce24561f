import { type PortPrefix, prefixCovers } from './port-prefix.ts';

export type Direction = 'ingress' | 'egress';
export type Verdict = 'allow' | 'deny';
/** `published` allows what came in by a published port; for everything else the entry is not there. */
export type EntryVerdict = Verdict | 'published';

/** What an entry names of peer, protocol and port, in the field's words. */
export type Match = 'none' | 'L3-Only' | 'L3-L4' | 'L4-Only' | 'all' | 'L3-Proto' | 'Proto-Only';

/** Peers that are no identities: anybody, who shares a network with the subject, whoever is outside. */
export const PEER_ANY = 0;
export const PEER_NETWORK = 0xffff_ffff;
export const PEER_WORLD = 2;

/** One entry of the policy map of a subject, in words. */
export interface PolicyEntry {
  direction: Direction;
  /** An identity, or PEER_ANY, PEER_NETWORK, PEER_WORLD. */
  peer: number;
  /** IANA number; 0 is every protocol, and then every port. */
  protocol: number;
  port: number;
  /** Leading bits of `port` that count; 0 is every port. */
  portBits: number;
  verdict: EntryVerdict;
  /** Place of the rule in the list, from 1; 0 is the default isolation. */
  rule: number;
}

/** Whether `outer` matches every packet that `inner` matches, of the same peer and direction. */
export function entryCovers(outer: PortSet, inner: PortSet): boolean {
  if (outer.protocol === 0) return true;
  return (
    outer.protocol === inner.protocol &&
    prefixCovers({ port: outer.port, bits: outer.portBits }, { port: inner.port, bits: inner.portBits })
  );
}

/** A protocol with a prefix of its ports. */
export interface PortSet {
  protocol: number;
  port: number;
  portBits: number;
}

export function portSet(protocol: number, { port, bits }: PortPrefix): PortSet {
  return { protocol, port, portBits: bits };
}

export function matchOf(entry: PolicyEntry): Match {
  if (entry.portBits > 0) return entry.peer === PEER_ANY ? 'L4-Only' : 'L3-L4';
  if (entry.protocol > 0) return entry.peer === PEER_ANY ? 'Proto-Only' : 'L3-Proto';
  return entry.peer === PEER_ANY ? 'all' : 'L3-Only';
}

/**
 * The entries of one peer and direction, folded so that the longest match alone gives the right verdict: within a deny
 * no allow is left, and within an entry none of the same verdict.
 */
export class EntryGroup {
  /** Per (protocol, bits) the entry of each port. */
  readonly #levels = new Map<number, Map<number, PolicyEntry>>();

  /** Of two entries for the same ports a deny stays, else one that allows whatever way, else the first. */
  add(entry: PolicyEntry): void {
    const level = levelOf(entry.protocol, entry.portBits);
    let ports = this.#levels.get(level);
    if (ports === undefined) this.#levels.set(level, (ports = new Map()));
    const present = ports.get(entry.port);
    if (present === undefined || STRENGTH[present.verdict] < STRENGTH[entry.verdict]) {
      ports.set(entry.port, entry);
    }
  }

  *entries(): Generator<PolicyEntry> {
    for (const ports of this.#levels.values()) {
      for (const entry of ports.values()) if (!this.#isRedundant(entry)) yield entry;
    }
  }

  /** Whether a wider entry says the same, or denies. */
  #isRedundant(entry: PolicyEntry): boolean {
    if (entry.protocol === 0) return false;
    for (let bits = entry.portBits - 1; bits >= 0; bits--) {
      const port = bits === 0 ? 0 : entry.port & (0xffff << (16 - bits)) & 0xffff;
      if (prevails(this.#levels.get(levelOf(entry.protocol, bits))?.get(port), entry)) return true;
    }
    return prevails(this.#levels.get(levelOf(0, 0))?.get(0), entry);
  }
}

const STRENGTH = { published: 0, allow: 1, deny: 2 } as const;

function prevails(wider: PolicyEntry | undefined, entry: PolicyEntry): boolean {
  return wider !== undefined && (wider.verdict === 'deny' || wider.verdict === entry.verdict);
}

function levelOf(protocol: number, bits: number): number {
  return protocol * 17 + bits;
}
