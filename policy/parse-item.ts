import type { Field } from './field.ts';
import { parseIcmpRule } from './parse-icmps.ts';
import { parseCidrRange, parseCidrText, parseEntity } from './parse-peers.ts';
import { parsePortRule } from './parse-ports.ts';
import type { EgressItem, IcmpRule, IngressItem, LabelSelector, PortRule } from './rule.ts';
import { type Shape, members } from './shape.ts';

const INGRESS = {
  known: [
    ...(['fromEndpoints', 'fromRequires', 'fromCIDR', 'fromCIDRSet', 'fromEntities'] as const),
    ...(['toPorts', 'icmps', 'authentication'] as const),
  ],
  unsupported: { fromgroups: 'groups are', fromnodes: 'node selectors are', auth: 'authentication is' },
} as const;
const EGRESS = {
  known: [
    ...(['toEndpoints', 'toRequires', 'toCIDR', 'toCIDRSet', 'toEntities'] as const),
    ...(['toPorts', 'icmps', 'authentication'] as const),
  ],
  unsupported: {
    togroups: 'groups are',
    tonodes: 'node selectors are',
    toservices: 'services are',
    tofqdns: 'DNS names are',
    auth: 'authentication is',
  },
} as const;
const TRAFFIC = ['toPorts', 'icmps'];
const REQUIRES = ['fromRequires', 'toRequires'];

/** How the form of policy being read writes the labels of a peer. */
export type SelectorReader = (field: Field) => LabelSelector;

export function parseIngress(field: Field, peer: SelectorReader): IngressItem {
  const parts = itemMembers(field, INGRESS);
  return {
    ...(parts.fromEndpoints && { fromEndpoints: parts.fromEndpoints.list().map(peer) }),
    ...(parts.fromRequires && { fromRequires: parts.fromRequires.list().map(peer) }),
    ...(parts.fromCIDR && { fromCIDR: parts.fromCIDR.list().map(parseCidrText) }),
    ...(parts.fromCIDRSet && { fromCIDRSet: parts.fromCIDRSet.list().map(parseCidrRange) }),
    ...(parts.fromEntities && { fromEntities: parts.fromEntities.list().map(parseEntity) }),
    ...traffic(parts),
  };
}

export function parseEgress(field: Field, peer: SelectorReader): EgressItem {
  const parts = itemMembers(field, EGRESS);
  return {
    ...(parts.toEndpoints && { toEndpoints: parts.toEndpoints.list().map(peer) }),
    ...(parts.toRequires && { toRequires: parts.toRequires.list().map(peer) }),
    ...(parts.toCIDR && { toCIDR: parts.toCIDR.list().map(parseCidrText) }),
    ...(parts.toCIDRSet && { toCIDRSet: parts.toCIDRSet.list().map(parseCidrRange) }),
    ...(parts.toEntities && { toEntities: parts.toEntities.list().map(parseEntity) }),
    ...traffic(parts),
  };
}

function traffic(parts: { toPorts?: Field; icmps?: Field }): { toPorts?: PortRule[]; icmps?: IcmpRule[] } {
  return {
    ...(parts.toPorts && { toPorts: parts.toPorts.list().map(parsePortRule) }),
    ...(parts.icmps && { icmps: parts.icmps.list().map(parseIcmpRule) }),
  };
}

/** The members of one item; at most one of them says who the peer is, and one what passes. */
function itemMembers<Name extends string>(field: Field, shape: Shape<Name>): Partial<Record<Name, Field>> {
  const parts: Partial<Record<string, Field>> & Partial<Record<Name, Field>> = members(field, shape);
  refuseAuthentication(parts['authentication']);
  const names = (Object.keys(parts) as Name[]).filter((name) => name !== 'authentication');
  const [passing, second] = names.filter((name) => TRAFFIC.includes(name));
  if (second !== undefined)
    parts[second]?.fail(`cannot go with ${passing}`, 'write two items, which are ORed');
  const peers = names.filter((name) => !TRAFFIC.includes(name) && !REQUIRES.includes(name));
  if (peers.length > 1) {
    field.fail(`combining ${peers[0]} and ${peers[1]} is not supported`, 'write two items, which are ORed');
  }
  const requires = names.find((name) => REQUIRES.includes(name));
  if (requires === undefined || passing === undefined || peers.length > 0) return parts;
  // Without it this would be anybody on these ports, required or not.
  return field.fail(
    `has ${requires} and ${passing} but no peer`,
    `${requires} only narrows; name the peer too, or write two items`,
  );
}

/** That none is asked for goes without saying. */
function refuseAuthentication(field: Field | undefined): void {
  if (field === undefined) return;
  const { mode } = field.isObject() ? members(field, { known: ['mode'] }) : {};
  if (mode?.text() === 'disabled') return;
  field.fail('authentication is not supported yet', 'leave the rule out for now');
}
