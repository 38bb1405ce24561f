import { UserError } from '../base/index.ts';
import { canonicalLabels, formatLabel, isLabelSource } from '../identity/index.ts';
import { type Field, quote } from './field.ts';
import { type SelectorReader, parseEgress, parseIngress } from './parse-item.ts';
import type { LabelSelector, Rule } from './rule.ts';
import { members } from './shape.ts';

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
    'log',
  ],
  unsupported: { nodeselector: 'host policies are' },
} as const;
const LONGEST_LOG_VALUE = 32;

/** How the form of policy being read writes subjects and peers. */
export interface Dialect {
  subject: SelectorReader;
  peer: SelectorReader;
  /** The subjects, where the place of the rule says whom it is for. */
  implied?: LabelSelector;
}

export function parseRule(field: Field, dialect: Dialect): Rule {
  const parts = members(field, RULE);
  const endpointSelector = parseSubjects(field, parts.endpointSelector, dialect);
  const readIngress = (item: Field): object => parseIngress(item, dialect.peer);
  const readEgress = (item: Field): object => parseEgress(item, dialect.peer);
  const sections = {
    ...section('ingress', parts.ingress, readIngress),
    ...section('ingressDeny', parts.ingressDeny, readIngress),
    ...section('egress', parts.egress, readEgress),
    ...section('egressDeny', parts.egressDeny, readEgress),
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
    endpointSelector,
    ...sections,
    ...(parts.enableDefaultDeny && { enableDefaultDeny: parseDefaultDeny(parts.enableDefaultDeny) }),
    ...(parts.log && { log: parseLog(parts.log) }),
  };
}

function parseSubjects(rule: Field, field: Field | undefined, { subject, implied }: Dialect): LabelSelector {
  if (implied !== undefined) {
    field?.fail('is given, but the rule is for the service it stands in', 'leave it out');
    return implied;
  }
  if (field !== undefined) return subject(field);
  return rule.fail('has no endpointSelector', 'say whom the rule is for; {} is every endpoint');
}

function section<Name extends string>(
  name: Name,
  field: Field | undefined,
  parseItem: (field: Field) => object,
): Partial<Record<Name, object[]>> {
  if (field === undefined) return {};
  const items = field.list();
  if (items.length === 0) return field.fail('is empty', '[{}] allows nobody; leave it out for no rule');
  const parsed = items.map(parseItem);
  if (name.endsWith('Deny')) for (const [at, item] of parsed.entries()) checkDenial(items[at] ?? field, item);
  return { [name]: parsed } as Partial<Record<Name, object[]>>;
}

function checkDenial(field: Field, item: object): void {
  if (Object.keys(item).length === 0) field.fail('denies nobody', 'to deny everybody write entity "all"');
  const requires = Object.keys(item).find((name) => name.endsWith('Requires'));
  if (requires === undefined) return;
  field.fail(`has ${requires} under a deny`, `${requires} narrows what is allowed; write it with the allows`);
}

function parseDefaultDeny(field: Field): { ingress?: boolean; egress?: boolean } {
  const { ingress, egress } = members(field, { known: ['ingress', 'egress'] });
  return { ...(ingress && { ingress: ingress.boolean() }), ...(egress && { egress: egress.boolean() }) };
}

function parseLog(field: Field): { value: string } {
  const { value } = members(field, { known: ['value'] });
  if (value === undefined) return field.fail('has no value', 'write {value}');
  const text = value.text();
  if (text.length <= LONGEST_LOG_VALUE && !/\p{C}/u.test(text)) return { value: text };
  return value.fail(
    `${quote(text)} is no log value`,
    `write at most ${LONGEST_LOG_VALUE} printable characters`,
  );
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
