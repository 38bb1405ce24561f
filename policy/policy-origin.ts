import { canonicalLabels, formatLabel, parseLabel } from '../identity/index.ts';
import type { Rule } from './rule.ts';

/** The object that rules came in, as the field names it in rule labels. */
export interface Origin {
  kind: string;
  name: string;
  /** The Docker network that is its namespace; undefined if it is of all networks. */
  network: string | undefined;
  uid: string | undefined;
}

const PREFIX = 'io.cilium.k8s.policy.';
const DERIVED_FROM = `${PREFIX}derived-from`;
/** The compose project whose file the rule came in. */
const STACK = 'weir:stack';
/** What makes two objects the same one. A uid does not: the same object has another one after it was made anew. */
const IDENTIFYING: ReadonlySet<string> = new Set([DERIVED_FROM, `${PREFIX}name`, `${PREFIX}namespace`]);

/** The rule under the name of its object, besides the labels it has. */
export function withOrigin({ labels = [], ...rule }: Rule, { kind, name, network, uid }: Origin): Rule {
  const origin = { 'derived-from': kind, name, namespace: network, uid };
  const own = Object.entries(origin).flatMap(([key, value]) =>
    value === undefined ? [] : [formatLabel({ source: 'k8s', key: PREFIX + key, value })],
  );
  return { labels: canonicalLabels([...labels, ...own]), ...rule };
}

/** The rule under the name of the compose project, besides the labels it has. */
export function withStack({ labels = [], ...rule }: Rule, project: string): Rule {
  return { labels: canonicalLabels([...labels, `${STACK}=${project}`]), ...rule };
}

/** The labels that name the object or stack of a rule; none for a rule that stands for itself. */
export function originLabels({ labels = [] }: Rule): string[] {
  const stack = labels.filter((text) => text.startsWith(`${STACK}=`));
  if (stack.length > 0) return stack;
  const named = labels.filter((text) => {
    const { source, key } = parseLabel(text);
    return source === 'k8s' && IDENTIFYING.has(key);
  });
  return named.some((text) => parseLabel(text).key === DERIVED_FROM) ? named : [];
}
