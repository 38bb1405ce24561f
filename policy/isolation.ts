import { RESERVED, isCidrIdentity } from '../identity/index.ts';
import {
  type Direction,
  type EntryVerdict,
  PEER_ANY,
  PEER_NETWORK,
  PEER_WORLD,
  type PolicyEntry,
} from './entry.ts';
import { LabelIndex } from './label-index.ts';

/** Who is at the other end: an endpoint identity, a reserved one, or an address range (then with `cidr`). */
export interface Peer {
  id: number;
  /** Canonical, and never changed: matching remembers the array. */
  labels: readonly string[];
  cidr?: string;
}

export type PolicyMode = 'default' | 'always' | 'never';

export interface PolicyContext {
  mode: PolicyMode;
  /** The space of a network; all networks without isolation share one. 0: no such network. */
  spaceOf(network: string): number;
}

/** The spaces of all networks that an identity is on. */
export function spacesOf(peer: Peer, context: PolicyContext): number[] {
  const networks = [...LabelIndex.of(peer.labels).networks];
  return networks.map((network) => context.spaceOf(network)).filter((space) => space !== 0);
}

/** Whether two identities count as of one network: they have a space in common. */
export function sameNetwork(a: Peer, b: Peer, context: PolicyContext): boolean {
  const spaces = spacesOf(a, context);
  return spaces.length > 0 && spacesOf(b, context).some((space) => spaces.includes(space));
}

/** Whether a peer is outside: the world, or an address range. */
export function isOutside(id: number): boolean {
  return (
    id === RESERVED.world ||
    id === RESERVED['world-ipv4'] ||
    id === RESERVED['world-ipv6'] ||
    isCidrIdentity(id)
  );
}

/** The class a peer is looked up by besides its identity; PEER_ANY where it has none. */
export function classOf(peer: Peer, isSameNetwork: boolean): number {
  if (isOutside(peer.id)) return PEER_WORLD;
  return isSameNetwork ? PEER_NETWORK : PEER_ANY;
}

/**
 * What passes without any policy: the own networks and the host both ways, the way out to the world, and published ports
 * for everybody. (An endpoint of internal networks only has no way out all the same: the datapath knows.)
 */
export function defaultEntries(direction: Direction): PolicyEntry[] {
  const entry = (peer: number, verdict: EntryVerdict): PolicyEntry => {
    return { direction, peer, protocol: 0, port: 0, portBits: 0, verdict, rule: 0 };
  };
  const peers = [PEER_NETWORK, RESERVED.host, ...(direction === 'egress' ? [PEER_WORLD] : [])];
  return [...peers.map((peer) => entry(peer, 'allow')), entry(PEER_ANY, 'published')];
}
