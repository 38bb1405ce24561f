import { type Direction, type Match, type PolicyEntry, PEER_ANY, entryCovers, matchOf } from './entry.ts';
import { type Peer, classOf } from './isolation.ts';

/** A new connection, seen from the endpoint whose entries decide. */
export interface Query {
  direction: Direction;
  peer: Peer;
  sameNetwork: boolean;
  /** IANA number. */
  protocol: number;
  /** Destination port; 0 where the protocol has none. */
  port: number;
  /** It came in by a published port of the host. */
  published?: boolean;
}

export interface Decision {
  verdict: 'allow' | 'deny';
  /** Drop reason: 0, 133 (nothing allows it) or 181 (something denies it). */
  reason: 0 | 133 | 181;
  /** Place of the deciding rule, from 1; 0 is the default isolation, or that nothing matched. */
  rule: number;
  match: Match;
  /** Allowed for no other reason than that it came in by a published port. */
  published?: true;
}

/**
 * The datapath's verdict, found as it finds it: the most specific entry of the peer's identity, of its class and of
 * anybody; the first deny of these wins, then the first allow.
 */
export function decide(entries: readonly PolicyEntry[], query: Query): Decision {
  const hits: PolicyEntry[] = [];
  for (const peer of new Set([query.peer.id, classOf(query.peer, query.sameNetwork), PEER_ANY])) {
    const hit = longestMatch(entries, peer, query);
    if (hit !== undefined && (hit.verdict !== 'published' || query.published === true)) hits.push(hit);
  }
  const deny = hits.find((entry) => entry.verdict === 'deny');
  if (deny !== undefined) return { verdict: 'deny', reason: 181, rule: deny.rule, match: matchOf(deny) };
  const [allow] = hits;
  if (allow === undefined) return { verdict: 'deny', reason: 133, rule: 0, match: 'none' };
  const why = allow.verdict === 'published' ? { published: true as const } : {};
  return { verdict: 'allow', reason: 0, rule: allow.rule, match: matchOf(allow), ...why };
}

function longestMatch(
  entries: readonly PolicyEntry[],
  peer: number,
  { direction, protocol, port }: Query,
): PolicyEntry | undefined {
  let best: PolicyEntry | undefined;
  for (const entry of entries) {
    if (entry.peer !== peer || entry.direction !== direction) continue;
    if (!entryCovers(entry, { protocol, port, portBits: 16 })) continue;
    if (best === undefined || prefixLength(entry) > prefixLength(best)) best = entry;
  }
  return best;
}

function prefixLength({ protocol, portBits }: PolicyEntry): number {
  return protocol === 0 ? 0 : 8 + portBits;
}
