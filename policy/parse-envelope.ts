import { type Field, quote } from './field.ts';
import { onAnyNetwork, onNetwork, readPodSelector, readSubjects, saysWhere } from './kubernetes-selector.ts';
import { suggest } from './nearest-name.ts';
import { parseNetworkPolicy } from './parse-network-policy.ts';
import { type Dialect, parseRule } from './parse-rule.ts';
import { parseNetworkName } from './parse-selector.ts';
import { type Origin, withOrigin } from './policy-origin.ts';
import type { LabelSelector, Rule } from './rule.ts';
import { members } from './shape.ts';

type Kind = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'NetworkPolicy';

const API_VERSIONS: Record<Kind, string> = {
  CiliumNetworkPolicy: 'cilium.io/v2',
  CiliumClusterwideNetworkPolicy: 'cilium.io/v2',
  NetworkPolicy: 'networking.k8s.io/v1',
};
const KINDS = Object.keys(API_VERSIONS) as Kind[];
const OBJECT = ['apiVersion', 'kind', 'metadata'] as const;
/** All but the first three are for people or kept by Kubernetes, and say nothing about traffic. */
const METADATA = [
  'name',
  'namespace',
  'uid',
  'labels',
  'annotations',
  'description',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'managedFields',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
] as const;
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Whether it is an object of Kubernetes, of whatever kind. */
export function isEnvelope(field: Field): boolean {
  const names = field.names();
  return names.includes('kind') || names.includes('apiversion');
}

/** The rules of a policy object, or of a list of them. They carry its kind, network and name as rule labels. */
export function parseEnvelope(field: Field): Rule[] {
  const parts = new Map(field.entries().map(([key, value]) => [key.toLowerCase(), value]));
  const [kindField, version] = [parts.get('kind'), parts.get('apiversion')];
  if (kindField === undefined) return field.fail('has no kind', `write one of ${KINDS.join(', ')}`);
  if (version === undefined)
    return field.fail('has no apiVersion', `write that of ${quote(kindField.text())}`);
  if (kindField.text().endsWith('List')) return parseList(field);
  const kind = KINDS.find((name) => name === kindField.text());
  if (kind === undefined) {
    return kindField.fail(
      `${quote(kindField.text())} is no kind of policy`,
      suggest(kindField.text(), KINDS),
    );
  }
  if (version.text() !== API_VERSIONS[kind]) {
    version.fail(`${quote(version.text())} has no ${kind} that weir knows`, `write ${API_VERSIONS[kind]}`);
  }
  return kind === 'NetworkPolicy' ? [parseKubernetes(field)] : parseCilium(field, kind);
}

function parseList(field: Field): Rule[] {
  const { items } = members(field, { known: [...OBJECT, 'items'] });
  if (items === undefined) return field.fail('has no items', 'list the policies under items');
  return items.list().flatMap(parseEnvelope);
}

function parseKubernetes(field: Field): Rule {
  const { metadata, spec } = members(field, { known: [...OBJECT, 'spec', 'status'] });
  const origin = parseOrigin(field, metadata, 'NetworkPolicy');
  if (spec === undefined)
    return field.fail('has no spec', 'write {podSelector, policyTypes, ingress, egress}');
  return withOrigin(parseNetworkPolicy(spec, origin.network), origin);
}

function parseCilium(field: Field, kind: Kind): Rule[] {
  const parts = members(field, { known: [...OBJECT, 'description', 'spec', 'specs', 'status'] });
  const { metadata, spec, specs } = parts;
  const origin = parseOrigin(field, metadata, kind);
  const rules = [...(spec === undefined ? [] : [spec]), ...(specs?.list() ?? [])];
  if (rules.length === 0) return field.fail('has no rules', 'give it spec, or specs with a list of rules');
  const dialect = dialectOf(origin);
  const said = parts.description ?? metadata?.entries().find(([key]) => key === 'description')?.[1];
  const description = said?.text();
  return rules.map((field) => {
    const rule = parseRule(field, dialect);
    // what the object says of itself, it says of its rules
    return withOrigin(description === undefined ? rule : { description, ...rule }, origin);
  });
}

function parseOrigin(field: Field, metadata: Field | undefined, kind: Kind): Origin {
  const parts = metadata === undefined ? {} : members(metadata, { known: METADATA });
  if (parts.name === undefined) return (metadata ?? field).fail('has no name', 'write metadata: {name}');
  const name = parts.name.text();
  if (!OBJECT_NAME.test(name)) {
    parts.name.fail(`${quote(name)} is no name of an object`, 'write lower-case letters, digits, - and .');
  }
  if (kind === 'CiliumClusterwideNetworkPolicy') {
    parts.namespace?.fail(
      'is given, but the policy is for all networks',
      'leave it out, or write a CiliumNetworkPolicy',
    );
  }
  const network = parts.namespace === undefined ? undefined : parseNetworkName(parts.namespace);
  return { kind, name, network, uid: parts.uid?.text() };
}

/** Selectors end at the network that is the policy's namespace; those of a clusterwide policy reach everywhere. */
function dialectOf({ kind, network }: Origin): Dialect {
  const subject = (field: Field): LabelSelector => readSubjects(field, network);
  if (kind === 'CiliumClusterwideNetworkPolicy') {
    return { subject, peer: (field) => unlessSaid(readPodSelector(field), onAnyNetwork) };
  }
  if (network === undefined) return { subject, peer: readPodSelector };
  return {
    subject,
    peer: (field) => unlessSaid(readPodSelector(field), (selector) => onNetwork(selector, network)),
  };
}

function unlessSaid(
  selector: LabelSelector,
  scope: (selector: LabelSelector) => LabelSelector,
): LabelSelector {
  return saysWhere(selector) ? selector : scope(selector);
}
