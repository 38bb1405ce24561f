/**
 * Policies in the shapes that the field's own examples have, one for each: taken with what they mean, or refused by name.
 * A line says `from > to port/protocol: verdict`; labels are separated by commas. Networks stay apart whatever one side's
 * policy allows, so across them a line may name the side that it is about.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../base/index.ts';
import { compile } from './compile.ts';
import type { PolicyContext } from './isolation.ts';
import { parsePolicy } from './parse.ts';
import { type TracePort, trace } from './trace.ts';

const SPACES: Record<string, number> = { ns1: 2, ns2: 3, 'kube-system': 4 };
const CONTEXT: PolicyContext = { mode: 'default', spaceOf: (network) => SPACES[network] ?? 0 };

/** An object of a kind around its rule. */
const cnp = (spec: string, more = ''): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: example${more}}, spec: ${spec}}`;
const ccnp = (spec: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: example}, spec: ${spec}}`;
const subject = 'endpointSelector: {matchLabels: {app: svc}}';

const MEANINGS: { name: string; text: string; verdicts: string[] }[] = [
  {
    name: 'a peer by its labels, as an array of rules',
    text: `[{${subject}, "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "front"}}]}]}]`,
    verdicts: ['role=front > app=svc 9/TCP: allowed', 'role=back > app=svc 9/TCP: denied'],
  },
  {
    name: 'a peer on the way out',
    text: cnp(`{${subject}, egress: [{toEndpoints: [{matchLabels: {role: back}}]}]}`),
    verdicts: ['app=svc > role=back 9/UDP: allowed', 'app=svc > role=front 9/UDP: denied'],
  },
  {
    name: 'everybody of the namespace, by an empty selector',
    text: cnp(`{${subject}, ingress: [{fromEndpoints: [{}]}]}`),
    verdicts: ['role=x > app=svc 9/TCP: allowed', 'reserved:world > app=svc 9/TCP: denied'],
  },
  {
    name: 'all of them on the way out',
    text: cnp(`{${subject}, egress: [{toEndpoints: [{}]}]}`),
    verdicts: ['app=svc > role=x 9/TCP: allowed', 'app=svc > reserved:world 9/TCP: denied'],
  },
  {
    name: 'a default deny on the way out',
    text: `[{"labels": [{"key": "deny-all-egress"}], ${subject}, "egress": [{}]}]`,
    verdicts: ['app=svc > role=x 9/TCP: denied', 'role=x > app=svc 9/TCP: allowed'],
  },
  {
    name: 'all but some, by a deny beside entity all',
    text: cnp(
      `{${subject}, egress: [{toEntities: [all]}], egressDeny: [{toEndpoints: [{matchLabels: {role: back}}]}]}`,
    ),
    verdicts: [
      'app=svc > role=back 9/TCP: denied',
      'app=svc > role=x 9/TCP: allowed',
      'app=svc > reserved:world 9/TCP: allowed',
    ],
  },
  {
    name: 'the world kept out, everybody of the cluster let in',
    text: cnp(`{${subject}, ingressDeny: [{fromEntities: [world]}], ingress: [{fromEntities: [all]}]}`),
    verdicts: ['reserved:world > app=svc 9/TCP: denied', 'role=x > app=svc 9/TCP: allowed'],
  },
  {
    name: 'the world by its entity',
    text: `[{${subject}, "ingress": [{"fromEntities": ["world"]}]}]`,
    verdicts: ['reserved:world > app=svc 9/TCP: allowed', 'role=x > app=svc 9/TCP: denied'],
  },
  {
    name: 'hosts by their entities',
    text: cnp(`{${subject}, ingress: [{fromEntities: [host, remote-node]}]}`),
    verdicts: [
      'reserved:host > app=svc 9/TCP: allowed',
      'reserved:remote-node > app=svc 9/TCP: allowed',
      'role=x > app=svc 9/TCP: denied',
    ],
  },
  {
    name: 'an entity that nobody has on Docker',
    text: cnp(`{${subject}, egress: [{toEntities: [kube-apiserver]}]}`),
    verdicts: ['app=svc > reserved:world 443/TCP: denied', 'app=svc > reserved:host 443/TCP: denied'],
  },
  {
    name: 'addresses, and a range with a hole',
    text: cnp(
      `{${subject}, egress: [{toCIDR: [20.1.1.1/32]}, {toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.96.0.0/12]}]}]}`,
    ),
    verdicts: [
      'app=svc > cidr:20.1.1.1 9/TCP: allowed',
      'app=svc > cidr:10.1.1.1 9/TCP: allowed',
      'app=svc > cidr:10.97.1.1 9/TCP: denied',
      'app=svc > cidr:20.1.1.2 9/TCP: denied',
    ],
  },
  {
    name: 'addresses and a port at once',
    text: cnp(
      `{${subject}, egress: [{toCIDR: [192.0.2.0/24], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}`,
    ),
    verdicts: ['app=svc > cidr:192.0.2.9 80/TCP: allowed', 'app=svc > cidr:192.0.2.9 81/TCP: denied'],
  },
  {
    name: 'a port for whoever it is',
    text: `[{${subject}, "egress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}]}]`,
    verdicts: ['app=svc > reserved:world 80/TCP: allowed', 'app=svc > role=x 81/TCP: denied'],
  },
  {
    name: 'a range of ports',
    text: cnp(`{${subject}, egress: [{toPorts: [{ports: [{port: "80", endPort: 444, protocol: TCP}]}]}]}`),
    verdicts: ['app=svc > role=x 444/TCP: allowed', 'app=svc > role=x 445/TCP: denied'],
  },
  {
    name: 'a peer and a port at once',
    text: cnp(
      `{${subject}, ingress: [{fromEndpoints: [{matchLabels: {role: front}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}`,
    ),
    verdicts: ['role=front > app=svc 80/TCP: allowed', 'role=back > app=svc 80/TCP: denied'],
  },
  {
    name: 'messages by number and by name, of both families',
    text: cnp(
      `{${subject}, egress: [{icmps: [{fields: [{type: 8, family: IPv4}, {type: EchoRequest, family: IPv6}]}]}]}`,
    ),
    verdicts: [
      'app=svc > role=x 8/ICMP: allowed',
      'app=svc > role=x 128/ICMPv6: allowed',
      'app=svc > role=x 13/ICMP: denied',
      'app=svc > role=x 80/TCP: denied',
    ],
  },
  {
    name: 'several rules of one object',
    text: `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: example}, specs: [
      {${subject}, ingress: [{fromEndpoints: [{matchLabels: {role: front}}]}]},
      {endpointSelector: {matchLabels: {role: front}}, egress: [{toEndpoints: [{matchLabels: {app: svc}}]}]}]}`,
    verdicts: ['role=front > app=svc 9/TCP: allowed', 'role=front > role=x 9/TCP: denied'],
  },
  {
    name: 'requirements of 2018, with a description beside the rules',
    text: `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, description: only prod, metadata: {name: example}, specs: [
      {endpointSelector: {matchLabels: {env: prod}}, ingress: [{fromRequires: [{matchLabels: {env: prod}}]}]},
      {${subject}, ingress: [{fromEndpoints: [{matchLabels: {role: front}}]}]}]}`,
    verdicts: [
      'role=front,env=prod > app=svc,env=prod 9/TCP: allowed',
      'role=front,env=dev > app=svc,env=prod 9/TCP: denied',
      'role=front,env=dev > app=svc,env=dev 9/TCP: allowed',
    ],
  },
  {
    name: 'expressions, all of which must hold, with operators in small letters',
    text: cnp(
      `{endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [
        {key: k8s:team, operator: in, values: [a]}, {key: "k8s:example.com/policy", operator: In, values: [strict]}]}]}]}`,
    ),
    verdicts: [
      'team=a,example.com/policy=strict > app=svc 9/TCP: allowed',
      'team=a > app=svc 9/TCP: denied',
      'example.com/policy=strict > app=svc 9/TCP: denied',
    ],
  },
  {
    name: 'or one of several selectors',
    text: cnp(
      `{endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [{key: team, operator: in, values: [a]}]},
        {matchExpressions: [{key: policy, operator: in, values: [strict]}]}]}]}`,
    ),
    verdicts: ['team=a > app=svc 9/TCP: allowed', 'policy=strict > app=svc 9/TCP: allowed'],
  },
  {
    name: 'two namespaces that each talk among themselves, under one name',
    text: ['ns1', 'ns2']
      .map((name) =>
        cnp(
          '{endpointSelector: {matchLabels: {}}, ingress: [{fromEndpoints: [{matchLabels: {}}]}]}',
          `, namespace: ${name}`,
        ),
      )
      .join('\n---\n'),
    verdicts: [
      'id=a,weir:network=ns1 > id=b,weir:network=ns1 9/TCP: allowed',
      'id=a,weir:network=ns2 > id=b,weir:network=ns2 9/TCP: allowed',
      'id=a,weir:network=ns2 > id=b,weir:network=ns1 9/TCP: denied',
    ],
  },
  {
    name: 'a peer of another namespace',
    text: cnp(
      `{endpointSelector: {matchLabels: {name: leia}}, ingress: [{fromEndpoints: [
        {matchLabels: {"k8s:io.kubernetes.pod.namespace": ns2, name: luke}}]}]}`,
      ', namespace: ns1',
    ),
    verdicts: [
      'name=luke,weir:network=ns2 > name=leia,weir:network=ns1 9/TCP ingress: allowed',
      'name=luke,weir:network=ns1 > name=leia,weir:network=ns1 9/TCP: denied',
    ],
  },
  {
    name: 'a service of another namespace on the way out',
    text: cnp(
      `{endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: dns}}],
        toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]}`,
    ),
    verdicts: [
      'app=svc,weir:network=ns1 > k8s-app=dns,weir:network=kube-system 53/UDP egress: allowed',
      'app=svc,weir:network=ns1 > k8s-app=dns,weir:network=kube-system 53/TCP egress: denied',
    ],
  },
  {
    name: 'a clusterwide policy: subjects and peers of every namespace',
    text: ccnp(
      `{description: "leia hears luke", endpointSelector: {matchLabels: {name: leia}}, ingress: [{fromEndpoints: [{matchLabels: {name: luke}}]}]}`,
    ),
    verdicts: [
      'name=luke,weir:network=ns2 > name=leia,weir:network=ns1 9/TCP ingress: allowed',
      'name=han,weir:network=ns1 > name=leia,weir:network=ns1 9/TCP: denied',
    ],
  },
  {
    name: 'everybody of every namespace, by an empty selector of a clusterwide policy',
    text: ccnp(
      `{endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: dns}},
        ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]}`,
    ),
    verdicts: [
      'id=a,weir:network=ns1 > k8s-app=dns,weir:network=kube-system 53/UDP ingress: allowed',
      'reserved:world > k8s-app=dns,weir:network=kube-system 53/UDP: denied',
    ],
  },
  {
    name: 'endpoints whose labels are not known yet, with a colon or, as it was written first, a dot',
    text: ['reserved:init', 'reserved.init']
      .map(
        (
          key,
        ) => `{"endpointSelector": {"matchLabels": {"${key}": ""}}, "ingress": [{"fromEntities": ["host"]}],
        "egress": [{"toEntities": ["all"], "toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}]}]}]}`,
      )
      .join('\n---\n'),
    verdicts: [
      'reserved:host > reserved:init 9/TCP: allowed',
      'reserved:init > reserved:host 53/UDP: allowed',
      'reserved:init > reserved:host 53/TCP: denied',
    ],
  },
  {
    name: 'peers that are still coming up',
    text: cnp(
      `{${subject}, ingress: [{fromEntities: [init]}, {toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]}`,
    ),
    verdicts: ['role=x > app=svc 53/UDP: allowed', 'role=x > app=svc 53/TCP: denied'],
  },
  {
    name: 'authentication that is switched off',
    text: cnp(`{${subject}, ingress: [{fromEndpoints: [{}], authentication: {mode: disabled}}]}`),
    verdicts: ['role=x > app=svc 9/TCP: allowed', 'reserved:world > app=svc 9/TCP: denied'],
  },
];

/** In another's words: the example, and what the one line that refuses it must say. */
const REFUSALS: { name: string; text: string; says: RegExp }[] = [
  ...[
    'http: [{method: GET}]',
    'HTTP: [{method: GET}]',
    'kafka: [{role: produce}]',
    'dns: [{matchPattern: "*"}]',
    'l7: [{}]',
  ].map((rules) => ({
    name: `rules {${rules}}`,
    text: `[{${subject}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {${rules}}}]}]}]`,
    says: /toPorts\[0\]\.rules: L7 rules are not supported yet/,
  })),
  ...[
    ['toFQDNs: [{matchName: example.com}]', 'DNS names are'],
    ['toServices: [{k8sService: {serviceName: x, namespace: default}}]', 'services are'],
    ['toGroups: [{aws: {}}]', 'groups are'],
    ['toNodes: [{matchLabels: {a: b}}]', 'node selectors are'],
    ['toEndpoints: [{}], auth: {type: "null"}', 'authentication is'],
    ['toEndpoints: [{}], authentication: {mode: required}', 'authentication is'],
    ['toCIDRSet: [{cidrGroupRef: x}]', 'CIDR groups are'],
    ['toPorts: [{ports: [{port: "443"}], serverNames: [a.io]}]', 'server names are'],
    ['toPorts: [{ports: [{port: "443"}], terminatingTLS: {}}]', 'TLS termination is'],
    ['toPorts: [{ports: [{port: "80"}], listener: {name: x}}]', 'listeners are'],
    ['toPorts: [{ports: [{port: "80", protocol: VRRP}]}]', 'protocol VRRP is'],
  ].map(([item = '', what = '']) => ({
    name: item,
    text: cnp(`{${subject}, egress: [{${item}}]}`),
    says: new RegExp(`${what} not supported yet`),
  })),
  {
    name: 'the policy of a host',
    text: ccnp('{nodeSelector: {matchLabels: {type: worker}}, ingress: [{fromEntities: [cluster]}]}'),
    says: /\.spec\.nodeSelector: host policies are not supported yet/,
  },
  {
    name: 'the health endpoint as a subject',
    text: ccnp(
      '{endpointSelector: {matchLabels: {"reserved:health": ""}}, ingress: [{fromEntities: [remote-node]}]}',
    ),
    says: /"reserved:health" is no endpoint; name it with an entity/,
  },
  {
    name: 'the world as a peer by its label, with a dot',
    text: `[{${subject}, ingress: [{fromEndpoints: [{matchLabels: {reserved.world: ""}}]}]}]`,
    says: /"reserved:world" is no endpoint; name it with an entity/,
  },
  ...[
    ['io.cilium.k8s.policy.serviceaccount: luke', 'containers have no service account'],
    ['io.cilium.k8s.policy.cluster: cluster2', 'containers have no label of their cluster'],
    ['io.cilium.k8s.namespace.labels.faction: alliance', 'is a label of namespaces'],
  ].map(([label = '', why = '']) => ({
    name: label,
    text: cnp(`{${subject}, ingress: [{fromEndpoints: [{matchLabels: {${label}}}]}]}`),
    says: new RegExp(why),
  })),
  {
    name: 'a list of peers that is written and empty',
    text: 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x}\nspec:\n  endpointSelector: {}\n  ingress:\n  - fromEndpoints:\n',
    says: /^f:7:19: \$\.spec\.ingress\[0\]\.fromEndpoints: is empty \(null\)/,
  },
  {
    name: 'an object that is no policy',
    text: '{apiVersion: cilium.io/v2, kind: CiliumEnvoyConfig, metadata: {name: x}, spec: {}}',
    says: /\$\.kind: "CiliumEnvoyConfig" is no kind of policy/,
  },
];

for (const { name, text, verdicts } of MEANINGS) {
  test(`the field's ${name} is imported and means what it says`, () => {
    const rules = parsePolicy(text, 'f');
    assert.deepEqual(parsePolicy(JSON.stringify(rules), 'f'), rules, 'nothing is lost on the way back');
    for (const line of verdicts) {
      const [, source = '', destination = '', port, protocol, side, verdict] =
        /^(\S+) > (\S+) (\d+)\/(\w+)(?: (ingress|egress))?: (\w+)$/.exec(line) ?? [];
      const dports = [{ port: Number(port), protocol: protocol as TracePort['protocol'] }];
      const query = { source: source.split(','), destination: destination.split(','), dports };
      const found = trace(compile(rules), query, CONTEXT);
      assert.equal(found[(side ?? 'verdict') as 'verdict'], verdict, `${line}\n${found.lines.join('\n')}`);
    }
  });
}

for (const { name, text, says } of REFUSALS) {
  test(`the field's ${name} is refused by name, in one line with its place`, () => {
    assert.throws(
      () => parsePolicy(text, 'f'),
      (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /^f:\d+:\d+: \$[^\n]*; [^\n]+$/);
        assert.match(error.message, says);
        return true;
      },
    );
  });
}

test('descriptions stay, wherever an object carries them', () => {
  const texts = [
    `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, description: why, metadata: {name: x}, spec: {${subject}, ingress: [{}]}}`,
    `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: x, description: why}, spec: {${subject}, ingress: [{}]}}`,
    cnp(`{description: why, ${subject}, ingress: [{}]}`),
  ];
  for (const text of texts) assert.equal(parsePolicy(text, 'f')[0]?.description, 'why');
});
