import { UserError, cidrContains, parseCidr } from '../base/index.ts';
import { RESERVED, type ReservedName, formatLabel, networkLabel, parseLabel } from '../identity/index.ts';
import type { CompiledPolicy } from './compile.ts';
import type { Peer, PolicyContext } from './isolation.ts';
import { LabelIndex } from './label-index.ts';
import { suggest } from './nearest-name.ts';

/** What the outside is when no address is given: an address that no policy names closer than "all of the family". */
const WHOLE_WORLD: Partial<Record<ReservedName, string>> = {
  world: '0.0.0.0/0',
  'world-ipv4': '0.0.0.0/0',
  'world-ipv6': '::/0',
};
/** Stands for the network that both sides are on when none is named; no network can have this name. */
const COMMON_NETWORK = '(common)';

export interface Parties {
  source: Peer;
  destination: Peer;
  context: PolicyContext;
}

/**
 * Both sides as policy sees them. A side that names no network is on the networks of the other; if neither names one,
 * both are on one and the same. A network nobody knows is a network of its own. Throws UserError TRACE_INVALID.
 */
export function partiesOf(
  policy: CompiledPolicy,
  labels: { source: readonly string[]; destination: readonly string[] },
  context: PolicyContext,
): Parties {
  const source = partyOf(policy, labels.source, 256);
  const destination = partyOf(policy, labels.destination, 257);
  const names = [LabelIndex.of(source.labels).networks, LabelIndex.of(destination.labels).networks];
  const common = names.every((networks) => networks.size === 0) ? [COMMON_NETWORK] : [];
  const networks = [...new Set([...(names[0] ?? []), ...(names[1] ?? []), ...common])];
  const known: PolicyContext = {
    mode: context.mode,
    spaceOf: (network) => context.spaceOf(network) || -1 - networks.indexOf(network),
  };
  return {
    source: onNetworks(source, networks),
    destination: onNetworks(destination, networks),
    context: known,
  };
}

function onNetworks(peer: Peer, networks: string[]): Peer {
  if (peer.id < 256 || peer.cidr !== undefined || LabelIndex.of(peer.labels).networks.size > 0) return peer;
  return { ...peer, labels: [...peer.labels, ...networks.map(networkLabel)] };
}

function partyOf(policy: CompiledPolicy, texts: readonly string[], id: number): Peer {
  const labels = texts.map((text) => parseLabel(text, 'container'));
  const special = labels.find(({ source }) => source === 'reserved' || source === 'cidr');
  if (special !== undefined && labels.length > 1) {
    throw invalid(`${formatLabel(special)} is a side of its own`, 'give it without other labels');
  }
  if (special?.source === 'reserved') return reservedParty(policy, special.key);
  if (special?.source === 'cidr') return outsider(policy, special.key);
  // What a user types without a source is meant as a label of the container.
  const own = labels.map((label) =>
    /^(any|unspec)$/.test(label.source) ? { ...label, source: 'container' } : label,
  );
  return { id, labels: [...new Set(own.map(formatLabel))].toSorted() };
}

function reservedParty(policy: CompiledPolicy, name: string): Peer {
  const id = new Map(Object.entries(RESERVED)).get(name);
  if (id === undefined) throw invalid(`no reserved:${name}`, suggest(name, Object.keys(RESERVED)));
  const range = WHOLE_WORLD[name as ReservedName];
  if (range !== undefined && policy.cidrs.includes(range)) return outsider(policy, range);
  return { id, labels: [`reserved:${name}`] };
}

/** An address outside has the identity of the closest range that policy names, else it is the world. */
function outsider(policy: CompiledPolicy, text: string): Peer {
  const cidr = parseCidr(text);
  const around = policy.cidrs.map(parseCidr).filter((range) => cidrContains(range, cidr));
  const closest = around.toSorted((a, b) => b.length - a.length)[0];
  if (closest === undefined) return { id: RESERVED.world, labels: ['reserved:world'] };
  return { id: 0x100_0001, labels: [`cidr:${closest.text}`], cidr: closest.text };
}

function invalid(what: string, right: string): UserError {
  return new UserError('TRACE_INVALID', `trace: ${what}`, { hint: right });
}

/** How a side reads in an explanation. */
export function describeParty(labels: readonly string[]): string {
  return `[${labels.join(' ')}]`;
}
