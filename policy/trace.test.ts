import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../base/index.ts';
import { compile } from './compile.ts';
import type { PolicyContext } from './isolation.ts';
import { parsePolicy } from './parse.ts';
import { type TraceQuery, type TraceResult, trace } from './trace.ts';

const RULES = compile(
  parsePolicy(
    `
- labels: [name=l3-l4]
  endpointSelector: {matchLabels: {id: app1}}
  ingress:
  - fromEndpoints: [{matchLabels: {id: app2}}]
    toPorts: [{ports: [{port: 80, protocol: TCP}]}]
- labels: [name=no-admin]
  endpointSelector: {matchLabels: {id: app1}}
  ingressDeny:
  - toPorts: [{ports: [{port: 9000, endPort: 9999, protocol: TCP}]}]
- endpointSelector: {matchLabels: {id: app4}}
  ingress: [{fromEndpoints: [{}]}]
  egress:
  - toEntities: [world-ipv4]
    toPorts: [{ports: [{port: domain, protocol: UDP}]}]
`,
    'test',
  ),
);
const CONTEXT: PolicyContext = { mode: 'default', spaceOf: () => 0 };

function ask(
  source: string | string[],
  destination: string | string[],
  more: Partial<TraceQuery> = {},
): TraceResult {
  const query = { dports: [{ port: 80, protocol: 'TCP' as const }], ...more };
  return trace(RULES, { source: [source].flat(), destination: [destination].flat(), ...query }, CONTEXT);
}

test('an allowed connection names the rule of the receiver; no rule decides for the sender', () => {
  const { lines, ...result } = ask('id=app2', 'id=app1');
  assert.deepEqual(result, {
    verdict: 'allowed',
    ingress: 'allowed',
    egress: 'none',
    matched: [
      { direction: 'egress', rule: 0, labels: [], verdict: 'allow' },
      { direction: 'ingress', rule: 1, labels: ['unspec:name=l3-l4'], verdict: 'allow' },
    ],
    reason:
      'egress 80/TCP: the default isolation allows it (L3-Only); ingress 80/TCP: rule 1 allows it (L3-L4)',
  });
  assert.ok(lines.length > 10);
});

test('a denied one says which side, which port, and that no rule allows it', () => {
  const result = ask('id=app3', 'id=app1');
  assert.deepEqual([result.verdict, result.ingress, result.egress], ['denied', 'denied', 'none']);
  assert.equal(result.reason, 'ingress 80/TCP: no rule allows it (Policy denied)');
});

test('a deny rule is named', () => {
  const result = ask('id=app2', 'id=app1', { dports: [{ port: 9500, protocol: 'TCP' }] });
  assert.equal(result.reason, 'ingress 9500/TCP: rule 2 denies it (Policy denied by denylist)');
  assert.deepEqual(result.matched.at(-1), {
    direction: 'ingress',
    rule: 2,
    labels: ['unspec:name=no-admin'],
    verdict: 'deny',
  });
});

test('what is only audited passes, and the reason is told; an internal network is no matter of policy', () => {
  const denied = ask('id=app3', 'id=app1', { destinationAudited: true });
  assert.deepEqual([denied.verdict, denied.ingress, denied.egress], ['audited', 'audited', 'none']);
  assert.match(denied.reason, /^ingress 80\/TCP: no rule allows it \(Policy denied\); it passes/);
  assert.equal(denied.lines.at(-1), 'Final verdict: AUDITED');
  assert.equal(ask('id=app3', 'id=app1', { sourceAudited: true }).verdict, 'denied');
  assert.equal(ask('id=app2', 'id=app1', { destinationAudited: true }).verdict, 'allowed');
  const internal = { sourceNoWorld: true, sourceAudited: true, destinationAudited: true };
  assert.equal(ask('id=app1', 'reserved:world', internal).verdict, 'denied');
});

test('of several ports all must be allowed', () => {
  const dports: TraceQuery['dports'] = [
    { port: 80, protocol: 'TCP' },
    { port: 443, protocol: 'TCP' },
  ];
  const result = ask('id=app2', 'id=app1', { dports });
  assert.deepEqual(
    [result.verdict, result.reason],
    ['denied', 'ingress 443/TCP: no rule allows it (Policy denied)'],
  );
});

test('a port of any protocol is allowed if one protocol is', () => {
  assert.equal(ask('id=app2', 'id=app1', { dports: [{ port: 80, protocol: 'ANY' }] }).verdict, 'allowed');
  assert.equal(ask('id=app2', 'id=app1', { dports: [{ port: 80, protocol: 'UDP' }] }).verdict, 'denied');
});

test('without a port only what is allowed on every port is', () => {
  assert.equal(ask('id=app2', 'id=app1', { dports: [] }).verdict, 'denied');
  assert.equal(ask('id=app2', 'id=app4', { dports: [] }).verdict, 'allowed');
});

test('ICMP has no port that a port rule could allow', () => {
  const dports: TraceQuery['dports'] = [{ port: 8, protocol: 'ICMP' }];
  assert.equal(ask('id=app2', 'id=app1', { dports }).verdict, 'denied');
  assert.equal(ask('id=app2', 'id=app4', { dports }).verdict, 'allowed');
});

test('a message is allowed by its type and family', () => {
  const policy = compile(
    parsePolicy(
      '{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: Echo}, {family: IPv6, type: 128}]}]}]}',
      't',
    ),
  );
  const verdict = (port: number, protocol: 'ICMP' | 'ICMPv6'): string =>
    trace(policy, { source: ['id=a'], destination: ['id=b'], dports: [{ port, protocol }] }, CONTEXT).verdict;
  assert.deepEqual([verdict(8, 'ICMP'), verdict(128, 'ICMPv6')], ['allowed', 'allowed']);
  assert.deepEqual(
    [verdict(128, 'ICMP'), verdict(8, 'ICMPv6'), verdict(0, 'ICMP')],
    ['denied', 'denied', 'denied'],
  );
});

const DNS: TraceQuery['dports'] = [{ port: 53, protocol: 'UDP' }];

test('the world without an address is an address that no rule names closer', () => {
  assert.equal(ask('id=app4', 'reserved:world', { dports: DNS }).verdict, 'allowed');
  assert.equal(ask('id=app4', 'reserved:world-ipv6', { dports: DNS }).verdict, 'denied');
  assert.equal(ask('id=app4', 'cidr:198.51.100.7', { dports: DNS }).verdict, 'allowed');
  assert.equal(ask('id=app4', 'cidr:2001:db8::1', { dports: DNS }).verdict, 'denied');
});

test('an internal network has no way to the world, whatever the rules', () => {
  const result = ask('id=app4', 'reserved:world', { dports: DNS, sourceNoWorld: true });

  test('nor a way from the world to it', () => {
    const result = ask('reserved:world', 'id=app4', { dports: DNS, destinationNoWorld: true });
    assert.equal(result.verdict, 'denied');
    assert.match(result.reason, /^ingress .*networks of the destination are internal/);
  });
  assert.deepEqual([result.verdict, result.egress], ['denied', 'denied']);
  assert.match(result.reason, /internal/);
});

const NETWORKS: { from: string[]; to: string[]; verdict: string }[] = [
  { from: ['id=app2'], to: ['id=app1'], verdict: 'allowed' },
  { from: ['id=app2', 'weir:network=a'], to: ['id=app1', 'weir:network=a'], verdict: 'allowed' },
  { from: ['id=app2', 'weir:network=a'], to: ['id=app1', 'weir:network=b'], verdict: 'denied' },
  { from: ['id=app2', 'weir:network=a'], to: ['id=app1'], verdict: 'allowed' },
  { from: ['id=app2'], to: ['id=app1', 'weir:network=b'], verdict: 'allowed' },
];

for (const { from, to, verdict } of NETWORKS) {
  test(`${from.join(' ')} → ${to.join(' ')}: ${verdict}`, () => assert.equal(ask(from, to).verdict, verdict));
}

test('labels may name their source or not', () => {
  assert.equal(ask('container:id=app2', 'any:id=app1').verdict, 'allowed');
  assert.equal(ask('k8s:id=app2', 'id=app1').verdict, 'allowed', 'the selector asks for any source');
});

test('neither side with a policy: nothing forbids it', () => {
  const result = ask('reserved:host', 'reserved:world');
  assert.deepEqual(
    [result.verdict, result.ingress, result.egress, result.matched],
    ['allowed', 'none', 'none', []],
  );
});

for (const labels of [['reserved:wold'], ['reserved:host', 'id=x'], ['cidr:10.0.0'], ['a b']]) {
  test(`${labels.join(' ')} is no side`, () => assert.throws(() => ask(labels, 'id=app1'), UserError));
}

test('the explanation names every rule, who matches and which ports are covered', () => {
  const text = ask('id=app3', 'id=app1').lines.join('\n');
  assert.ok(text.includes('Tracing From: [id=app3] => To: [id=app1] Ports: [80/TCP]'));
  assert.match(
    text,
    /\* Rule 1 \{"matchLabels":\{"id":"app1"\}\} \[unspec:name=l3-l4\]: selected\n {4}Allows .*app2.*\n {6}the peer does not match; covers 80\/TCP/,
  );
  assert.match(text, /\* Rule 2 .*: selected\n {4}Denies .*\n {6}the peer matches; covers none of the ports/);
  assert.match(text, /\* Rule 3 .*: not selected/);
  assert.match(
    text,
    /2\/3 rules selected; ingress is enforced\n80\/TCP: no rule allows it \(Policy denied\)\nIngress verdict: denied/,
  );
  assert.match(text, /Final verdict: DENIED$/);
});

test('an unmet requirement is named beside the rule that has it, and for endpoints alone', () => {
  const policy = compile(
    parsePolicy(
      '[{endpointSelector: {}, egress: [{toRequires: [{matchLabels: {env: prod}}]}]}, {endpointSelector: {}, egress: [{toEndpoints: [{}]}]}]',
      'test',
    ),
  );
  const explain = (to: string[]): TraceResult =>
    trace(policy, { source: ['id=a'], destination: to, dports: [] }, CONTEXT);
  const unmet = 'Found unsatisfied ToRequires constraint {"matchLabels":{"env":"prod"}}';
  const denied = explain(['id=b']);
  assert.equal(denied.verdict, 'denied');
  assert.ok(denied.lines.join('\n').includes(`selected\n    ${unmet}\n`), denied.lines.join('\n'));
  const allowed = explain(['id=b', 'env=prod']);
  assert.equal(allowed.verdict, 'allowed');
  for (const { lines } of [allowed, explain(['reserved:host'])])
    assert.ok(!lines.join().includes('unsatisfied'));
});
