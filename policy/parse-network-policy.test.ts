import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { UserError } from '../base/index.ts';
import { compile } from './compile.ts';
import type { PolicyContext } from './isolation.ts';
import * as kubernetes from './network-policy-model.test-support.ts';
import { parsePolicy } from './parse.ts';
import { type TraceQuery, trace } from './trace.ts';

const SPACES: Record<string, number> = { front: 2, back: 3 };
const CONTEXT: PolicyContext = { mode: 'default', spaceOf: (network) => SPACES[network] ?? 0 };
const PROTOCOLS: Record<number, 'TCP' | 'UDP' | 'SCTP' | 'ICMP'> = {
  6: 'TCP',
  17: 'UDP',
  132: 'SCTP',
  1: 'ICMP',
};

function labelsOf(party: kubernetes.Party): string[] {
  if (party === 'host') return ['reserved:host'];
  if ('address' in party) return [`cidr:${party.address}`];
  const own = Object.entries(party.labels).map(([key, value]) => `${key}=${value}`);
  return [...own, `weir:network=${party.namespace}`];
}

test('a NetworkPolicy means what Kubernetes says, for any policies, pods, addresses and ports', () => {
  const seen = { allowed: 0, isolated: 0, free: 0 };
  fc.assert(
    fc.property(
      kubernetes.networkPolicies,
      kubernetes.pod,
      fc.array(fc.tuple(kubernetes.party, kubernetes.traffic), { minLength: 1, maxLength: 8 }),
      (policies, pod, cases) => {
        const policy = compile(parsePolicy(JSON.stringify(policies), 'random'));
        for (const [other, traffic] of cases) {
          const expected = kubernetes.judge(policies, pod, other, traffic);
          const [source, destination] = traffic.direction === 'egress' ? [pod, other] : [other, pod];
          const dports: TraceQuery['dports'] = [
            { port: traffic.port, protocol: PROTOCOLS[traffic.protocol] ?? 'ANY' },
          ];
          const query: TraceQuery = { source: labelsOf(source), destination: labelsOf(destination), dports };
          const found = trace(policy, query, CONTEXT);
          const judgement = found[traffic.direction];
          seen[expected]++;
          // What no policy is about is left to the isolation of networks, which allows less than Kubernetes.
          if (expected === 'free')
            assert.ok(
              found.matched.every(({ rule, direction }) => rule === 0 || direction !== traffic.direction),
            );
          else assert.equal(judgement, expected === 'allowed' ? 'allowed' : 'denied', found.lines.join('\n'));
        }
      },
    ),
    { numRuns: 600 },
  );
  assert.ok(Math.min(...Object.values(seen)) > 100, `one-sided test: ${JSON.stringify(seen)}`);
});

function policy(spec: object, metadata: object = { name: 'x', namespace: 'shop' }): string {
  return JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec });
}

const LABELS = [
  'k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy',
  'k8s:io.cilium.k8s.policy.name=x',
  'k8s:io.cilium.k8s.policy.namespace=shop',
];
const SHOP = { matchLabels: { 'weir:network': 'shop' } };

const TRANSLATED: { name: string; spec: object; sections: object }[] = [
  { name: 'no items deny all', spec: { podSelector: {} }, sections: { ingress: [{}] } },
  {
    name: 'an empty item allows everybody',
    spec: { podSelector: {}, ingress: [{}] },
    sections: { ingress: [{ fromEntities: ['all'] }] },
  },
  {
    name: 'an empty list of peers is everybody, an empty list of ports every port',
    spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [], ports: [] }] },
    sections: { egress: [{ toEntities: ['all'] }] },
  },
  {
    name: 'an empty list of egress items denies nothing unless a type says so',
    spec: { podSelector: {}, egress: [] },
    sections: { ingress: [{}] },
  },
  {
    name: 'with the type it denies',
    spec: { podSelector: {}, policyTypes: ['Egress'], egress: [] },
    sections: { egress: [{}] },
  },
  {
    name: 'egress items alone isolate on ingress too',
    spec: { podSelector: {}, egress: [{}] },
    sections: { ingress: [{}], egress: [{ toEntities: ['all'] }] },
  },
  {
    name: 'pods are of the own namespace; with a namespace selector, of those selected; all namespaces are all networks',
    spec: {
      podSelector: {},
      ingress: [
        {
          from: [
            { podSelector: { matchLabels: { app: 'a' } } },
            {
              podSelector: { matchLabels: { app: 'b' } },
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ops' } },
            },
            { namespaceSelector: {} },
          ],
        },
      ],
    },
    sections: {
      ingress: [
        {
          fromEndpoints: [
            { matchLabels: { app: 'a', 'weir:network': 'shop' } },
            { matchLabels: { app: 'b', 'weir:network': 'ops' } },
            { matchExpressions: [{ key: 'weir:network', operator: 'Exists' }] },
          ],
        },
      ],
    },
  },
  {
    name: 'pods that name a namespace themselves are of both',
    spec: {
      podSelector: {},
      ingress: [{ from: [{ podSelector: { matchLabels: { 'io.kubernetes.pod.namespace': 'ops' } } }] }],
    },
    sections: {
      ingress: [
        {
          fromEndpoints: [
            {
              matchLabels: { 'weir:network': 'ops' },
              matchExpressions: [{ key: 'weir:network', operator: 'In', values: ['shop'] }],
            },
          ],
        },
      ],
    },
  },
  {
    name: 'addresses stand apart from pods, with the same ports; TCP is the protocol, no port is every port',
    spec: {
      podSelector: {},
      ingress: [
        {
          from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }, { podSelector: {} }],
          ports: [{ port: 80, endPort: 90 }, { protocol: 'UDP' }, { port: 'https' }],
        },
      ],
    },
    sections: {
      ingress: [
        { fromEndpoints: [SHOP], toPorts: [{ ports: expectedPorts() }] },
        {
          fromCIDRSet: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }],
          toPorts: [{ ports: expectedPorts() }],
        },
      ],
    },
  },
];

function expectedPorts(): object[] {
  return [
    { port: '80', endPort: 90, protocol: 'TCP' },
    { port: '0', protocol: 'UDP' },
    { port: 'https', protocol: 'TCP' },
  ];
}

for (const { name, spec, sections } of TRANSLATED) {
  test(`in a NetworkPolicy ${name}`, () => {
    assert.deepEqual(parsePolicy(policy(spec), 'f'), [
      { labels: LABELS, endpointSelector: SHOP, ...sections },
    ]);
  });
}

test('without a namespace each network stands for itself', () => {
  const text = policy({ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }, { name: 'x' });
  assert.deepEqual(parsePolicy(text, 'f'), [
    { labels: LABELS.slice(0, 2), endpointSelector: {}, ingress: [{ fromEndpoints: [{}] }] },
  ]);
});

const REFUSED: { name: string; spec: object; says: string }[] = [
  { name: 'no subjects', spec: { ingress: [{}] }, says: '$.spec: has no podSelector' },
  {
    name: 'another type',
    spec: { podSelector: {}, policyTypes: ['ingress'] },
    says: 'did you mean "Ingress"?',
  },
  {
    name: 'items of a type that is not named',
    spec: { podSelector: {}, policyTypes: ['Egress'], ingress: [{}] },
    says: '$.spec.ingress: has rules, but policyTypes does not name Ingress',
  },
  {
    name: 'an empty peer',
    spec: { podSelector: {}, ingress: [{ from: [{}] }] },
    says: '.from[0]: names no peer',
  },
  {
    name: 'a range with a selector',
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] }] },
    says: '.ipBlock: cannot go with selectors',
  },
  {
    name: 'labels of namespaces',
    spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'x' } } }] }] },
    says: '$.spec.ingress[0].from[0].namespaceSelector.matchLabels.team: "team" is a label of namespaces; networks',
  },
  {
    name: 'peers of the other direction',
    spec: { podSelector: {}, ingress: [{ to: [] }] },
    says: 'unknown field',
  },
  {
    name: 'any protocol',
    spec: { podSelector: {}, ingress: [{ ports: [{ port: 80, protocol: 'ANY' }] }] },
    says: 'is no protocol of a NetworkPolicy',
  },
  {
    name: 'port 0',
    spec: { podSelector: {}, ingress: [{ ports: [{ port: 0 }] }] },
    says: '.port: 0 is no port',
  },
  {
    name: 'a range without a start',
    spec: { podSelector: {}, ingress: [{ ports: [{ endPort: 80 }] }] },
    says: '.endPort: ends a range that has no start',
  },
  {
    name: 'a range from a name',
    spec: { podSelector: {}, ingress: [{ ports: [{ port: 'http', endPort: 90 }] }] },
    says: 'starts with a name',
  },
  {
    name: 'subjects on another network',
    spec: { podSelector: { matchLabels: { 'io.kubernetes.pod.namespace': 'ops' } } },
    says: '$.spec.podSelector: selects on network ops; the policy is of namespace shop',
  },
];

for (const { name, spec, says } of REFUSED) {
  test(`refused in a NetworkPolicy: ${name}`, () => {
    assert.throws(
      () => parsePolicy(policy(spec), 'f'),
      (error) => {
        assert.ok(error instanceof UserError && error.message.includes(says), String(error));
        return true;
      },
    );
  });
}
