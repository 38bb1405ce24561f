/** Policy of the tests, as the datapath sees it: entries of the map, written by name. */
import { PolicyDirection, PolicyScope, PolicyVerdict } from '../../bpf/index.ts';
import type { Maps } from '../../bpf/index.ts';
import { host, ROLES } from '../support/cast.ts';

export const PEER_ANY = 0;
export const PEER_NETWORK = 0xffff_ffff;
export const PEER_WORLD = 2;
/** Bits of the key that an entry fixes when it names no protocol, only a protocol, or a port too. */
const BITS = { direction: 104, protocol: 112, port: 128 } as const;

const VERDICT = {
  allow: PolicyVerdict.VERDICT_ALLOW,
  deny: PolicyVerdict.VERDICT_DENY,
  published: PolicyVerdict.VERDICT_PUBLISHED,
} as const;

export interface Entry {
  subject: number;
  peer: number;
  direction: 'ingress' | 'egress';
  verdict?: 'allow' | 'deny' | 'published';
  protocol?: number;
  port?: number;
  /** Leading bits of the port that count. */
  portBits?: number;
  rule?: number;
}

/** What an endpoint may do that no policy selects: its network, its host, the world on the way out, and published ports. */
export function isolation(identities: readonly number[] = ROLES.map((role) => role.identity)): Entry[] {
  return [...new Set(identities)].flatMap((subject) => [
    { subject, peer: PEER_NETWORK, direction: 'ingress' as const },
    { subject, peer: host.identity, direction: 'ingress' as const },
    { subject, peer: PEER_NETWORK, direction: 'egress' as const },
    { subject, peer: host.identity, direction: 'egress' as const },
    { subject, peer: PEER_WORLD, direction: 'egress' as const },
    ...(['ingress', 'egress'] as const).map((direction) => ({
      ...{ subject, peer: PEER_ANY, direction },
      verdict: 'published' as const,
    })),
  ]);
}

/** Replaces what isolation gives one identity in one direction. */
export function selecting(
  subject: number,
  direction: Entry['direction'],
  entries: Omit<Entry, 'subject' | 'direction'>[],
): Entry[] {
  const others = isolation().filter((entry) => entry.subject !== subject || entry.direction !== direction);
  return [...others, ...entries.map((entry, i) => ({ rule: i + 1, ...entry, subject, direction }))];
}

export function prefixLengthOf({ protocol, port, portBits = 16 }: Entry): number {
  if (protocol === undefined) return BITS.direction;
  return port === undefined ? BITS.protocol : BITS.protocol + portBits;
}

export function fillPolicy(maps: Maps, generation: number, entries: Entry[]): void {
  for (const entry of entries) {
    const { subject, peer, protocol = 0, port = 0 } = entry;
    const direction =
      entry.direction === 'ingress' ? PolicyDirection.DIRECTION_INGRESS : PolicyDirection.DIRECTION_EGRESS;
    const scope =
      entry.port !== undefined
        ? PolicyScope.SCOPE_PORT
        : entry.protocol !== undefined
          ? PolicyScope.SCOPE_PROTOCOL
          : PolicyScope.SCOPE_ANY;
    maps.policy.set(
      { prefixLength: prefixLengthOf(entry), generation, subject, peer, direction, protocol, port },
      { verdict: VERDICT[entry.verdict ?? 'allow'], scope, proxyPort: 0, rule: entry.rule ?? 0 },
    );
  }
}
