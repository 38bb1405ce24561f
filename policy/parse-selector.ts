import { type Label, parseLabel } from '../identity/index.ts';
import { type Field, quote } from './field.ts';
import { suggest } from './nearest-name.ts';
import type { LabelExpression, LabelSelector, Operator } from './rule.ts';
import { members } from './shape.ts';

const OPERATORS: readonly Operator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];
const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?$/;
/** Docker's own rule for the names of networks. */
const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

/** The key that is meant by the one written. */
type KeyReader = (field: Field, written: string) => string;

export function parseSelector(field: Field): LabelSelector {
  return readSelector(field, (_, written) => written);
}

/** A selector of another form of policy, whose keys mean others here. */
export function readSelector(field: Field, read: KeyReader): LabelSelector {
  // as the field reads it too: this one source may be set apart by a dot
  const keyOf: KeyReader = (value, written) => read(value, written.replace(/^reserved\./, 'reserved:'));
  const { matchLabels, matchExpressions } = members(field, { known: ['matchLabels', 'matchExpressions'] });
  return {
    ...(matchLabels && { matchLabels: parseMatchLabels(matchLabels, keyOf) }),
    ...(matchExpressions && {
      matchExpressions: matchExpressions.list().map((each) => parseExpression(each, keyOf)),
    }),
  };
}

function parseMatchLabels(field: Field, keyOf: KeyReader): Record<string, string> {
  const labels = new Map<string, string>();
  for (const [written, value] of field.entries()) {
    const key = keyOf(value, written);
    if (labels.has(key)) value.fail(`is ${quote(key)} a second time`, 'keep one of the two');
    labels.set(key, parseValue(value, parseKey(value, key)));
  }
  // fromEntries makes an own property of every key, "__proto__" included.
  return Object.fromEntries(labels);
}

function parseExpression(field: Field, keyOf: KeyReader): LabelExpression {
  const parts = members(field, { known: ['key', 'operator', 'values'] });
  if (parts.key === undefined) return field.fail('has no key', 'write {key, operator, values}');
  const key = keyOf(parts.key, parts.key.text());
  const label = parseKey(parts.key, key);
  const operator = parseOperator(field, parts.operator);
  const values = parts.values?.list().map((value) => parseValue(value, label)) ?? [];
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length > 0) return { key, operator, values };
    return (parts.values ?? field).fail(`has no values for ${operator}`, 'list at least one');
  }
  return values.length === 0
    ? { key, operator }
    : field.fail(`has values for ${operator}`, 'leave values out');
}

function parseOperator(field: Field, operator: Field | undefined): Operator {
  if (operator === undefined) return field.fail('has no operator', `use one of ${OPERATORS.join(', ')}`);
  const text = operator.text();
  const known = OPERATORS.find((name) => name.toLowerCase() === text.toLowerCase());
  return known ?? operator.fail(`${quote(text)} is no operator`, suggest(text, OPERATORS));
}

/** Refuses keys that no endpoint can have: the selector would silently select nobody. */
function parseKey(field: Field, text: string): Label {
  const label = readKey(text);
  if (label === undefined) {
    return field.fail(
      `${quote(text)} is no label key`,
      'write [source:][prefix/]name, the name of at most 63 letters, digits, - _ . with a letter or digit at both ends',
    );
  }
  const name = `${label.source}:${label.key}`;
  if (label.source === 'reserved' && name !== 'reserved:init') {
    return field.fail(`${quote(text)} is no endpoint`, `name it with an entity, as in fromEntities: [world]`);
  }
  if (label.source === 'weir' && name !== 'weir:network') {
    return field.fail(`${quote(text)} is a label that weir never gives`, 'did you mean "weir:network"?');
  }
  if (!['any', 'container', 'k8s', 'reserved', 'weir'].includes(label.source)) {
    return field.fail(
      `no endpoint has labels of source ${label.source}`,
      'use container:, any: or weir:network',
    );
  }
  return label;
}

function readKey(text: string): Label | undefined {
  if (text === '' || /[=\s\p{Cc}]/u.test(text)) return undefined;
  if (/^[a-z0-9]+:$/.test(text)) return undefined;
  const label = parseLabel(text, 'any');
  const slash = label.key.lastIndexOf('/');
  const legal =
    NAME.test(label.key.slice(slash + 1)) && (slash < 0 || PREFIX.test(label.key.slice(0, slash)));
  return legal ? label : undefined;
}

function parseValue(field: Field, { source, key }: Label): string {
  const value = field.text();
  if (source === 'weir' && key === 'network') return parseNetworkName(field);
  if (isLabelValue(value)) return value;
  return field.fail(
    `${quote(value)} is no label value`,
    'write at most 63 letters, digits, - _ . with a letter or digit at both ends',
  );
}

/** Whether a label of an endpoint can have this value and a selector ask for it. */
export function isLabelValue(text: string): boolean {
  return text === '' || NAME.test(text);
}

export function parseNetworkName(field: Field): string {
  const name = field.text();
  if (NETWORK_NAME.test(name)) return name;
  return field.fail(`${quote(name)} is no network name`, 'write the name that docker network ls shows');
}
