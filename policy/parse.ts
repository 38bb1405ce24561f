import { UserError } from '../base/index.ts';
import { canonicalLabels, formatLabel, isLabelSource } from '../identity/index.ts';
import { readDocuments, readJson } from './document.ts';
import { type Field, quote } from './field.ts';
import { parseIcmpRule } from './parse-icmps.ts';
import { parseCidrRange, parseCidrText, parseEntity } from './parse-peers.ts';
import { parsePortRule } from './parse-ports.ts';
import { parseSelector } from './parse-selector.ts';
import type { EgressItem, IngressItem, Rule } from './rule.ts';
import { type Shape, members } from './shape.ts';

const ENVELOPE = 'policies of Kubernetes form are';
const RULE = {
  known: [
    'labels',
    'description',
    'endpointSelector',
    'ingress',
    'ingressDeny',
    'egress',
    'egressDeny',
    'enableDefaultDeny',
  ],
  unsupported: {
    nodeselector: 'host policies are',
    log: 'log values are',
    apiversion: ENVELOPE,
    kind: ENVELOPE,
    metadata: ENVELOPE,
    spec: ENVELOPE,
    specs: ENVELOPE,
  },
} as const;
const INGRESS = {
  known: ['fromEndpoints', 'fromCIDR', 'fromCIDRSet', 'fromEntities', 'toPorts', 'icmps'],
  unsupported: {
    fromrequires: 'fromRequires is',
    fromgroups: 'groups are',
    fromnodes: 'node selectors are',
    authentication: 'authentication is',
  },
} as const;
const EGRESS = {
  known: ['toEndpoints', 'toCIDR', 'toCIDRSet', 'toEntities', 'toPorts', 'icmps'],
  unsupported: {
    torequires: 'toRequires is',
    togroups: 'groups are',
    tonodes: 'node selectors are',
    toservices: 'services are',
    tofqdns: 'DNS names are',
    authentication: 'authentication is',
  },
} as const;

/**
 * The rules of a policy file: a JSON array of rules or a single rule, or the same in YAML. Keys match without regard to
 * case. Throws UserError POLICY_INVALID for the first thing that is wrong, as `file:line:column: path: what; advice`.
 */
export function parsePolicy(text: string, file: string): Rule[] {
  const json = readJson(text, file);
  if (json !== undefined) {
    try {
      return parseRoot(json);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  return readDocuments(text, file).flatMap(parseRoot);
}

function parseRoot(root: Field): Rule[] {
  return root.isObject() ? [parseRule(root)] : root.list().map(parseRule);
}

function parseRule(field: Field): Rule {
  const parts = members(field, RULE);
  if (parts.endpointSelector === undefined) {
    return field.fail('has no endpointSelector', 'say whom the rule is for; {} is every endpoint');
  }
  const sections = {
    ...section('ingress', parts.ingress, parseIngress),
    ...section('ingressDeny', parts.ingressDeny, parseIngress),
    ...section('egress', parts.egress, parseEgress),
    ...section('egressDeny', parts.egressDeny, parseEgress),
  };
  if (Object.keys(sections).length === 0) {
    return field.fail(
      'has no effect',
      'give it ingress, egress, ingressDeny or egressDeny; [{}] allows nobody',
    );
  }
  return {
    ...(parts.labels && { labels: parseRuleLabels(parts.labels) }),
    ...(parts.description && { description: parts.description.text() }),
    endpointSelector: parseSelector(parts.endpointSelector),
    ...sections,
    ...(parts.enableDefaultDeny && { enableDefaultDeny: parseDefaultDeny(parts.enableDefaultDeny) }),
  };
}

function section<Name extends string, Item extends object>(
  name: Name,
  field: Field | undefined,
  parseItem: (field: Field) => Item,
): Partial<Record<Name, Item[]>> {
  if (field === undefined) return {};
  const items = field.list();
  if (items.length === 0) return field.fail('is empty', '[{}] allows nobody; leave it out for no rule');
  const parsed = items.map(parseItem);
  for (const [at, item] of parsed.entries()) {
    if (name.endsWith('Deny') && Object.keys(item).length === 0) {
      items[at]?.fail('denies nobody', `to deny everybody write entity "all"`);
    }
  }
  return { [name]: parsed } as Partial<Record<Name, Item[]>>;
}

function parseIngress(field: Field): IngressItem {
  const parts = itemMembers(field, INGRESS);
  return {
    ...(parts.fromEndpoints && { fromEndpoints: parts.fromEndpoints.list().map(parseSelector) }),
    ...(parts.fromCIDR && { fromCIDR: parts.fromCIDR.list().map(parseCidrText) }),
    ...(parts.fromCIDRSet && { fromCIDRSet: parts.fromCIDRSet.list().map(parseCidrRange) }),
    ...(parts.fromEntities && { fromEntities: parts.fromEntities.list().map(parseEntity) }),
    ...(parts.toPorts && { toPorts: parts.toPorts.list().map(parsePortRule) }),
    ...(parts.icmps && { icmps: parts.icmps.list().map(parseIcmpRule) }),
  };
}

function parseEgress(field: Field): EgressItem {
  const parts = itemMembers(field, EGRESS);
  return {
    ...(parts.toEndpoints && { toEndpoints: parts.toEndpoints.list().map(parseSelector) }),
    ...(parts.toCIDR && { toCIDR: parts.toCIDR.list().map(parseCidrText) }),
    ...(parts.toCIDRSet && { toCIDRSet: parts.toCIDRSet.list().map(parseCidrRange) }),
    ...(parts.toEntities && { toEntities: parts.toEntities.list().map(parseEntity) }),
    ...(parts.toPorts && { toPorts: parts.toPorts.list().map(parsePortRule) }),
    ...(parts.icmps && { icmps: parts.icmps.list().map(parseIcmpRule) }),
  };
}

/** The members of one item; at most one of them says who the peer is, and one what passes. */
function itemMembers<Name extends string>(
  field: Field,
  shape: Shape<Name | 'toPorts' | 'icmps'>,
): Partial<Record<Name | 'toPorts' | 'icmps', Field>> {
  const parts = members(field, shape);
  if (parts.toPorts !== undefined) {
    parts.icmps?.fail('cannot go with toPorts', 'write two items, which are ORed');
  }
  const [first, second] = (Object.keys(parts) as Name[]).filter((name) => !/^(toPorts|icmps)$/.test(name));
  if (first === undefined || second === undefined) return parts;
  return field.fail(`combining ${first} and ${second} is not supported`, 'write two items, which are ORed');
}

function parseDefaultDeny(field: Field): { ingress?: boolean; egress?: boolean } {
  const { ingress, egress } = members(field, { known: ['ingress', 'egress'] });
  return { ...(ingress && { ingress: ingress.boolean() }), ...(egress && { egress: egress.boolean() }) };
}

function parseRuleLabels(field: Field): string[] {
  return canonicalLabels(field.list().map(parseRuleLabel));
}

/** `source:key=value`, or the same as an object. */
function parseRuleLabel(field: Field): string {
  const text = field.isObject() ? labelOfObject(field) : field.text();
  try {
    const [label] = canonicalLabels([text]);
    if (label !== undefined && !/\p{Cc}/u.test(label)) return label;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  return field.fail(`${quote(text)} is no label`, 'write "key=value" or {key, value, source}');
}

function labelOfObject(field: Field): string {
  const parts = members(field, { known: ['key', 'value', 'source'] });
  if (parts.key === undefined) return field.fail('has no key', 'write {key, value, source}');
  const key = parts.key.text();
  if (key.includes('=')) parts.key.fail(`${quote(key)} holds "="`, 'write {key, value, source}');
  return formatLabel({ source: parseSource(parts.source), key, value: parts.value?.text() ?? '' });
}

function parseSource(field: Field | undefined): string {
  const source = field?.text() ?? '';
  if (source === '' || isLabelSource(source)) return source === '' ? 'unspec' : source;
  return (
    field?.fail(`${quote(source)} is no source of labels`, 'write container, k8s, any or unspec') ?? source
  );
}
