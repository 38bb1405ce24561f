import { UserError } from '../base/index.ts';

/** One label. Text form `source:key=value`, or `source:key` when the value is empty. Keys may hold dots and colons. */
export interface Label {
  source: string;
  key: string;
  value: string;
}

/** Where labels come from. `any` stands for every source in a selector; `unspec` is a label that names none. */
const SOURCES: ReadonlySet<string> = new Set([
  'any',
  'cidr',
  'cidrgroup',
  'cni',
  'container',
  'directory',
  'fqdn',
  'k8s',
  'mesos',
  'node',
  'reserved',
  'unspec',
  'weir',
]);

/** The label that weir itself gives: one for every weir network a container is on. */
export const NETWORK_LABEL = 'weir:network';

const FORBIDDEN_IN_KEY = /[=\s\p{Cc}]/u;

/**
 * Reads `source:key=value`. Only a known source counts as one: `team:web=1` is the key `team:web`, and `a.b` is a key
 * with a dot. Without a source the label gets `defaultSource`. Throws UserError LABEL_INVALID.
 */
export function parseLabel(text: string, defaultSource = 'unspec'): Label {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? '' : text.slice(equals + 1);
  const colon = name.indexOf(':');
  const known = colon > 0 && SOURCES.has(name.slice(0, colon));
  const source = known ? name.slice(0, colon) : defaultSource;
  const key = known ? name.slice(colon + 1) : name;
  if (!isLabelKey(key)) {
    throw new UserError('LABEL_INVALID', `${JSON.stringify(text)} is not a label`, {
      hint: 'write key=value or source:key=value, the key without spaces',
    });
  }
  return { source, key, value };
}

/** Whether labels can come from there. */
export function isLabelSource(text: string): boolean {
  return SOURCES.has(text);
}

/** Whether a key can be part of an identity: not empty, no `=`, no space, no control character. */
export function isLabelKey(key: string): boolean {
  return key !== '' && !FORBIDDEN_IN_KEY.test(key);
}

export function formatLabel(label: Label): string {
  const name = `${label.source}:${label.key}`;
  return label.value === '' ? name : `${name}=${label.value}`;
}

/** The label of being on a network. */
export function networkLabel(network: string): string {
  return `${NETWORK_LABEL}=${network}`;
}

/** One text per label set: every label with its source, each once, in code unit order. Throws UserError LABEL_INVALID. */
export function canonicalLabels(labels: Iterable<string>, defaultSource = 'unspec'): string[] {
  const texts = new Set<string>();
  for (const label of labels) texts.add(formatLabel(parseLabel(label, defaultSource)));
  return [...texts].toSorted((a, b) => (a < b ? -1 : 1));
}
