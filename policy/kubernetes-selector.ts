import { NETWORK_LABEL } from '../identity/index.ts';
import { type Field, quote } from './field.ts';
import { readSelector } from './parse-selector.ts';
import type { LabelSelector } from './rule.ts';

/** How policies name the namespace of a pod; the Docker network stands for it. */
const NAMESPACE_NAME = 'kubernetes.io/metadata.name';
const POD_NAMESPACE = 'io.kubernetes.pod.namespace';
const NAMESPACE_LABELS = 'io.cilium.k8s.namespace.labels.';
/** Labels that Kubernetes gives every pod and Docker no container: asking for them would select nobody. */
const NOT_ON_DOCKER: Readonly<Record<string, string>> = {
  'io.cilium.k8s.policy.serviceaccount': 'containers have no service account',
  'io.cilium.k8s.policy.cluster': 'containers have no label of their cluster',
  'io.kubernetes.pod.name': 'containers have no label of their name',
};

/** A selector of pods: their labels are the containers', their namespace is the network. */
export function readPodSelector(field: Field): LabelSelector {
  return readSelector(field, (value, written) => {
    // Kubernetes is the only source of labels there, and the container here.
    const key = written.replace(/^(k8s|any):/, '');
    if (key === POD_NAMESPACE || key === NAMESPACE_LABELS + NAMESPACE_NAME) return NETWORK_LABEL;
    if (key.startsWith(NAMESPACE_LABELS))
      return refuseNetworkLabel(value, key.slice(NAMESPACE_LABELS.length));
    const missing = Object.hasOwn(NOT_ON_DOCKER, key) ? NOT_ON_DOCKER[key] : undefined;
    return missing === undefined
      ? key
      : value.fail(`${quote(written)} selects nobody: ${missing}`, 'leave it out');
  });
}

/**
 * The subjects of a policy whose namespace is `network`: it has none outside of it. Those whose labels are not known yet
 * are on no network. Without a namespace they are on any.
 */
export function readSubjects(field: Field, network: string | undefined): LabelSelector {
  const selector = readPodSelector(field);
  const named = selector.matchLabels?.[NETWORK_LABEL];
  if (network === undefined || named === network || asksFor(selector, 'reserved:init')) return selector;
  if (named === undefined) return onNetwork(selector, network);
  return field.fail(
    `selects on network ${named}`,
    `the policy is of namespace ${network}; leave the network out`,
  );
}

/** A selector of namespaces: only their name is known. */
export function readNamespaceSelector(field: Field): LabelSelector {
  return readSelector(field, (value, key) =>
    key === NAMESPACE_NAME ? NETWORK_LABEL : refuseNetworkLabel(value, key),
  );
}

function refuseNetworkLabel(field: Field, key: string): never {
  return field.fail(
    `${quote(key)} is a label of namespaces`,
    `networks have only ${NAMESPACE_NAME}, their name`,
  );
}

/** Whether a selector asks for the key. */
function asksFor({ matchLabels = {}, matchExpressions = [] }: LabelSelector, key: string): boolean {
  return Object.hasOwn(matchLabels, key) || matchExpressions.some((expression) => expression.key === key);
}

/** Whether a selector says itself how far it reaches: by network, or to endpoints that have none yet. */
export function saysWhere(selector: LabelSelector): boolean {
  return asksFor(selector, NETWORK_LABEL) || asksFor(selector, 'reserved:init');
}

export function onNetwork(selector: LabelSelector, network: string): LabelSelector {
  return both(selector, { matchLabels: { [NETWORK_LABEL]: network } });
}

export function onAnyNetwork(selector: LabelSelector): LabelSelector {
  return both(selector, { matchExpressions: [{ key: NETWORK_LABEL, operator: 'Exists' }] });
}

/** What matches both selectors. */
export function both(first: LabelSelector, second: LabelSelector): LabelSelector {
  const matchLabels = { ...first.matchLabels };
  const matchExpressions = [...(first.matchExpressions ?? [])];
  for (const [key, value] of Object.entries(second.matchLabels ?? {})) {
    if (!Object.hasOwn(matchLabels, key)) matchLabels[key] = value;
    else matchExpressions.push({ key, operator: 'In', values: [value] });
  }
  matchExpressions.push(...(second.matchExpressions ?? []));
  return {
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
    ...(matchExpressions.length > 0 && { matchExpressions }),
  };
}
