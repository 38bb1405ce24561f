import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { mergeRules } from './merge.ts';
import * as kubernetes from './network-policy-model.test-support.ts';
import { parsePolicy } from './parse.ts';
import { refuses, spoil, survives } from './refusal.test-support.ts';
import type { Rule } from './rule.ts';

const POLICY = 'k8s:io.cilium.k8s.policy';
const ITEM = { ingress: [{}] };

interface Parts {
  kind?: string;
  metadata?: object;
  spec?: object;
  specs?: object[];
  more?: object;
}

function cilium({ kind = 'CiliumNetworkPolicy', metadata, more, ...rules }: Parts): string {
  const named = { name: 'x', ...(kind === 'CiliumNetworkPolicy' && { namespace: 'shop' }), ...metadata };
  return JSON.stringify({ apiVersion: 'cilium.io/v2', kind, metadata: named, ...rules, ...more });
}

/** The first peer selector of the one rule. */
function peerOf(text: string): unknown {
  return parsePolicy(text, 'f')[0]?.ingress?.[0]?.fromEndpoints?.[0];
}

const from = (selector: object): object => ({
  endpointSelector: {},
  ingress: [{ fromEndpoints: [selector] }],
});
const labels = (matchLabels: object): object => ({ matchLabels });
const EXISTS = { key: 'weir:network', operator: 'Exists' };

const PEERS: { name: string; kind?: string; selector: object; peer: object }[] = [
  { name: 'every pod is of the namespace', selector: {}, peer: labels({ 'weir:network': 'shop' }) },
  {
    name: 'labels of Kubernetes are the labels of containers',
    selector: labels({ 'k8s:app': 'a', 'any:role': 'b', 'container:x': 'c' }),
    peer: labels({ app: 'a', role: 'b', 'container:x': 'c', 'weir:network': 'shop' }),
  },
  {
    name: 'the namespace of a pod is a network',
    selector: labels({ 'k8s:io.kubernetes.pod.namespace': 'ops', app: 'a' }),
    peer: labels({ 'weir:network': 'ops', app: 'a' }),
  },
  {
    name: 'so is the name of a namespace',
    selector: labels({ 'io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name': 'ops' }),
    peer: labels({ 'weir:network': 'ops' }),
  },
  {
    name: 'any namespace is any network',
    selector: { matchExpressions: [{ key: 'k8s:io.kubernetes.pod.namespace', operator: 'Exists' }] },
    peer: { matchExpressions: [EXISTS] },
  },
  {
    name: 'endpoints without labels yet are of no network',
    selector: labels({ 'reserved:init': '' }),
    peer: labels({ 'reserved:init': '' }),
  },
  {
    name: 'clusterwide, every pod is of any network',
    kind: 'CiliumClusterwideNetworkPolicy',
    selector: labels({ app: 'a' }),
    peer: { matchLabels: { app: 'a' }, matchExpressions: [EXISTS] },
  },
  {
    name: 'clusterwide, a namespace is a network too',
    kind: 'CiliumClusterwideNetworkPolicy',
    selector: labels({ 'io.kubernetes.pod.namespace': 'ops' }),
    peer: labels({ 'weir:network': 'ops' }),
  },
];

for (const { name, kind, selector, peer } of PEERS) {
  test(`in a policy of Cilium ${name}`, () => {
    assert.deepEqual(peerOf(cilium({ ...(kind && { kind }), spec: from(selector) })), peer);
  });
}

const SUBJECTS: { name: string; parts: Parts; subject: object }[] = [
  {
    name: 'its namespace',
    parts: { spec: { endpointSelector: labels({ app: 'a' }) } },
    subject: labels({ app: 'a', 'weir:network': 'shop' }),
  },
  {
    name: 'its namespace once',
    parts: { spec: { endpointSelector: labels({ 'k8s:io.kubernetes.pod.namespace': 'shop' }) } },
    subject: labels({ 'weir:network': 'shop' }),
  },
  {
    name: 'its namespace as well, where it asks for networks by expression',
    parts: { spec: { endpointSelector: { matchExpressions: [EXISTS] } } },
    subject: { matchLabels: { 'weir:network': 'shop' }, matchExpressions: [EXISTS] },
  },
  {
    name: 'whoever has no labels yet',
    parts: { spec: { endpointSelector: labels({ 'reserved:init': '' }) } },
    subject: labels({ 'reserved:init': '' }),
  },
  {
    name: 'all networks without a namespace',
    parts: { metadata: { namespace: undefined }, spec: { endpointSelector: {} } },
    subject: {},
  },
  {
    name: 'all networks where it is clusterwide',
    parts: { kind: 'CiliumClusterwideNetworkPolicy', spec: { endpointSelector: {} } },
    subject: {},
  },
];

for (const { name, parts, subject } of SUBJECTS) {
  test(`the subjects of a policy are of ${name}`, () => {
    const [rule] = parsePolicy(cilium({ ...parts, spec: { ...parts.spec, ...ITEM } }), 'f');
    assert.deepEqual(rule?.endpointSelector, subject);
  });
}

test('rules carry kind, name, namespace and uid of their object besides their own labels', () => {
  const text = cilium({
    metadata: { uid: '1-2', labels: { a: 'b' }, creationTimestamp: null },
    spec: { endpointSelector: {}, ...ITEM, labels: ['mine=1'] },
    specs: [{ endpointSelector: {}, ...ITEM }],
    more: { status: { conditions: [] } },
  });
  const origin = [
    `${POLICY}.derived-from=CiliumNetworkPolicy`,
    `${POLICY}.name=x`,
    `${POLICY}.namespace=shop`,
    `${POLICY}.uid=1-2`,
  ];
  assert.deepEqual(
    parsePolicy(text, 'f').map((rule) => rule.labels),
    [[...origin, 'unspec:mine=1'], origin],
  );
});

test('documents, lists and rules may stand side by side; empty documents are nothing', () => {
  const one = (name: string): string =>
    cilium({ metadata: { name }, spec: { endpointSelector: {}, ...ITEM } });
  const list = `{apiVersion: v1, kind: List, items: [${one('c')}, ${one('d')}]}`;
  const text = `---\n# nothing\n---\n${one('a')}\n---\n[${one('b')}, {endpointSelector: {}, ingress: [{}]}]\n---\n${list}\n---\n`;
  const names = parsePolicy(text, 'f').map((rule) => rule.labels?.[1] ?? '');
  assert.deepEqual(names, [
    `${POLICY}.name=a`,
    `${POLICY}.name=b`,
    '',
    `${POLICY}.name=c`,
    `${POLICY}.name=d`,
  ]);
});

const NETWORK_POLICY = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'x' } };
refuses([
  {
    name: 'no kind',
    text: '{apiVersion: cilium.io/v2}',
    says: '$: has no kind; write one of CiliumNetworkPolicy, ',
  },
  {
    name: 'no version',
    text: '{kind: NetworkPolicy}',
    says: '$: has no apiVersion; write that of "NetworkPolicy"',
  },
  {
    name: 'another kind',
    text: 'apiVersion: apps/v1\nkind: Deployment\nspec: {}',
    says: 'f:2:7: $.kind: "Deployment" is no kind of policy; use one of CiliumNetworkPolicy, ',
  },
  {
    name: 'another version',
    text: '{apiVersion: cilium.io/v1, kind: CiliumNetworkPolicy}',
    says: '$.apiVersion: "cilium.io/v1" has no CiliumNetworkPolicy that weir knows; write cilium.io/v2',
  },
  {
    name: 'no metadata',
    text: '{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, spec: {}}',
    says: 'has no name',
  },
  {
    name: 'an odd name',
    text: cilium({ metadata: { name: 'A b' } }),
    says: '$.metadata.name: "A b" is no name',
  },
  {
    name: 'an odd namespace',
    text: cilium({ metadata: { namespace: '-' } }),
    says: '"-" is no network name',
  },
  {
    name: 'unknown metadata',
    text: cilium({ metadata: { nmae: 'a' } }),
    says: '$.metadata.nmae: is an unknown field',
  },
  { name: 'no rules', text: cilium({}), says: '$: has no rules; give it spec, or specs' },
  {
    name: 'a host policy',
    text: cilium({ kind: 'CiliumClusterwideNetworkPolicy', spec: { nodeSelector: {}, ...ITEM } }),
    says: '$.spec.nodeSelector: host policies are not supported yet',
  },
  {
    name: 'a namespace of a clusterwide policy',
    text: cilium({ kind: 'CiliumClusterwideNetworkPolicy', metadata: { namespace: 'a' } }),
    says: '$.metadata.namespace: is given, but the policy is for all networks',
  },
  {
    name: 'subjects on another network',
    text: cilium({ spec: { endpointSelector: labels({ 'weir:network': 'ops' }), ...ITEM } }),
    says: '$.spec.endpointSelector: selects on network ops; the policy is of namespace shop',
  },
  {
    name: 'service accounts',
    text: cilium({ spec: from(labels({ 'io.cilium.k8s.policy.serviceaccount': 'a' })) }),
    says: 'selects nobody: containers have no service account; leave it out',
  },
  {
    name: 'labels of namespaces',
    text: cilium({ spec: from(labels({ 'k8s:io.cilium.k8s.namespace.labels.team': 'a' })) }),
    says: '"team" is a label of namespaces; networks have only kubernetes.io/metadata.name',
  },
  {
    name: 'a label twice',
    text: cilium({ spec: from(labels({ 'k8s:app': 'a', app: 'a' })) }),
    says: '.matchLabels.app: is "app" a second time',
  },
  {
    name: 'L7 within an object of a list',
    text: `{apiVersion: v1, kind: List, items: [${cilium({
      spec: { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port: '80' }], rules: {} }] }] },
    })}]}`,
    says: '$.items[0].spec.ingress[0].toPorts[0].rules: L7 rules are not supported yet',
  },
  { name: 'a list without items', text: '{apiVersion: v1, kind: List}', says: 'has no items' },
  { name: 'no spec', text: JSON.stringify(NETWORK_POLICY), says: '$: has no spec' },
  {
    name: 'several specs of a NetworkPolicy',
    text: JSON.stringify({ ...NETWORK_POLICY, specs: [] }),
    says: '$.specs: is an unknown field; did you mean "spec"?',
  },
]);

/** Names as `name`, and `name@network` for those with one, in order of the list. */
function namesOf(rules: Rule[]): string[] {
  return rules.map(({ labels = [] }) => {
    const part = (key: string): string =>
      labels.find((label) => label.startsWith(`${POLICY}.${key}=`))?.split('=')[1] ?? '';
    return `${part('derived-from').replace(/[a-z]/g, '')} ${part('name')}@${part('namespace')} ${part('uid')}`;
  });
}

test('an object replaces the one of its kind, network and name with all its rules, whatever its uid', () => {
  const rule = { endpointSelector: {}, ...ITEM };
  const other = { endpointSelector: {}, egress: [{}] };
  const current = parsePolicy(
    `[${[
      cilium({ metadata: { uid: '1' }, specs: [rule, other] }),
      cilium({ metadata: { namespace: 'ops' }, spec: rule }),
      cilium({ kind: 'CiliumClusterwideNetworkPolicy', spec: rule }),
      JSON.stringify({
        ...NETWORK_POLICY,
        metadata: { name: 'x', namespace: 'shop' },
        spec: { podSelector: {} },
      }),
    ].join()}]`,
    'f',
  );
  const before = ['CNP x@shop 1', 'CNP x@shop 1', 'CNP x@ops ', 'CCNP x@ ', 'NP x@shop '];
  assert.deepEqual(namesOf(current), before);
  const imported = parsePolicy(
    cilium({ metadata: { uid: '2' }, spec: { ...other, labels: ['mine=1'] } }),
    'f',
  );
  const merged = mergeRules(current, imported, { replaceAll: false });
  assert.deepEqual(namesOf(merged), ['CNP x@shop 2', ...before.slice(2)]);
  assert.deepEqual(merged[0], imported[0]);
});

test('what objects become is read again as the same rules', () => {
  fc.assert(
    fc.property(kubernetes.networkPolicies, (policies) => {
      const rules = parsePolicy(JSON.stringify(policies), 'f');
      assert.deepEqual(parsePolicy(JSON.stringify(rules), 'f'), rules);
      const once = mergeRules([], rules, { replaceAll: false });
      assert.deepEqual(mergeRules(once, rules, { replaceAll: false }), once);
    }),
    { numRuns: 200 },
  );
});

test('a policy object with anything anywhere is rules or one line', () => {
  fc.assert(
    fc.property(kubernetes.networkPolicies, fc.anything(), fc.nat(), (policies, junk, at) => {
      for (const text of spoil(JSON.stringify(policies), junk, at)) survives(text);
    }),
    { numRuns: 300 },
  );
});
