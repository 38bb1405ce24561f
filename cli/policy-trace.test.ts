import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answers, fakeAgent } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';
import { trace } from './sample.ts';

const ANSWERS: Answers = { 'POST /v1/policy/trace': trace };

prints(ANSWERS, [
  {
    line: 'policy trace -s id=app3 --dst id=app1 -v',
    out: '\n* Rule 2: selected',
  },
  {
    line: 'policy trace -s id=app3 -s env=test --dst id=app1 --dport 80/tcp --dport 53',
    out: `
----------------------------------------------------------------
Tracing From: [id=app3 env=test] => To: [id=app1] Ports: [80/TCP 53/ANY]
  ingress: rule 2 (container:name=web) says deny

Egress verdict: none
Ingress verdict: denied
Reason: no rule of the destination allows it
Final verdict: DENIED`,
  },
]);

printsJson(ANSWERS, [{ line: 'policy trace --src-endpoint 4 --dst-endpoint app1', want: trace }]);

test('a trace asks with what the flags say', async () => {
  await using agent = await fakeAgent(ANSWERS);
  await agent.weir('policy trace -s a=1 --src b --dst-endpoint app1 --dport 80/tcp --dport 0/UDP');
  const ports = [
    { port: 80, protocol: 'TCP' },
    { port: 0, protocol: 'UDP' },
  ];
  const body = { source: { labels: ['a=1', 'b'] }, destination: { endpoint: 'app1' }, dports: ports };
  assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/trace', body }]);
});

for (const { line, body } of [
  {
    line: '--src container-name:web --dst endpoint:12 --dport 8/icmp --dport 128/ICMPv6 --dport 9/sctp',
    body: {
      source: { endpoint: 'container-name:web' },
      destination: { endpoint: '12' },
      dports: [
        { port: 8, protocol: 'ICMP' },
        { port: 128, protocol: 'ICMPv6' },
        { port: 9, protocol: 'SCTP' },
      ],
    },
  },
  {
    line: '--src-identity 300 --dst 192.0.2.1',
    body: { source: { identity: 300 }, destination: { address: '192.0.2.1' }, dports: [] },
  },
  {
    line: '--src cidr:10.0.0.0/8 --dst 2001:db8::/64',
    body: { source: { address: '10.0.0.0/8' }, destination: { address: '2001:db8::/64' }, dports: [] },
  },
  {
    line: '--src a:b=1 --src 10 --dst reserved:host',
    body: { source: { labels: ['a:b=1', '10'] }, destination: { labels: ['reserved:host'] }, dports: [] },
  },
]) {
  test(`weir policy trace ${line} asks for that`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    assert.equal((await agent.weir(`policy trace ${line}`)).code, 0);
    assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/trace', body }]);
  });
}

for (const [line, said] of [
  ['--src a=1', 'the destination is missing'],
  ['--src a=1 --src-identity 300 --dst b', 'the source is given twice'],
  ['--src a=1 --src 192.0.2.1 --dst b', '--src names an endpoint or an address, and more'],
  ['--src a --dst b --dport 256/icmp', 'For ICMP it ends at 255'],
  ['--src a --dst b --dport 80/icmpv7', 'as in 80/tcp'],
  ['--src-identity web --dst b', 'number of an identity'],
] as const) {
  test(`weir policy trace ${line} is refused`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    const { code, err } = await agent.weir(`policy trace ${line}`);
    assert.equal(code, 2);
    assert.match(err, new RegExp(said));
    assert.deepEqual(agent.requests, []);
  });
}
