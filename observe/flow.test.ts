import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { enrich } from './flow.ts';
import { sampleEvent, sampleNames } from './sample.ts';

test('a drop says who, whom, port and reason', () => {
  assert.deepEqual(enrich(sampleEvent(), sampleNames), {
    time: 't1000',
    type: 'drop',
    verdict: 'dropped',
    reason: 'Policy denied',
    reasonCode: 133,
    direction: 'ingress',
    source: {
      ip: '10.210.0.4',
      port: 4242,
      identity: 261,
      labels: ['container:id=261'],
      endpointId: 4,
      containerName: 'client',
    },
    destination: {
      ip: '10.210.0.2',
      port: 80,
      identity: 264,
      labels: ['container:id=264'],
      endpointId: 12,
      containerName: 'web',
    },
    protocol: 'TCP',
    tcpFlags: ['SYN'],
    ctState: 'new',
    rule: 0,
    ruleLabels: [],
    policyRevision: 3,
    length: 74,
    interface: 'weir7',
    summary: '10.210.0.4:4242 -> 10.210.0.2:80 tcp SYN',
  });
});

for (const { name, change, want } of [
  {
    name: 'an allowed verdict names what matched and the rule',
    change: { type: 5, reason: 0, match: 2, rule: 2 },
    want: {
      type: 'policy-verdict',
      verdict: 'allowed',
      reason: 'L3-L4',
      reasonCode: 0,
      ruleLabels: ['container:rule=2', 'container:revision=3'],
    },
  },
  {
    name: 'what a rule wants logged goes along',
    change: { type: 5, reason: 0, match: 2, rule: 9 },
    want: { rule: 9, policyLog: 'ticket 9' },
  },
  {
    name: 'a denied verdict carries the drop reason',
    change: { type: 5, reason: 181 },
    want: { type: 'policy-verdict', verdict: 'denied', reason: 'code 181', reasonCode: 181 },
  },
  {
    name: 'an audited one does too',
    change: { type: 5, reason: 133, audit: 1 },
    want: { type: 'policy-verdict', verdict: 'audited', reason: 'Policy denied', reasonCode: 133 },
  },
  {
    name: 'a trace names its point of observation',
    change: { type: 4, reason: 5, ctState: 2, direction: 2 },
    want: {
      type: 'trace',
      verdict: 'forwarded',
      reason: 'from-endpoint',
      ctState: 'reply',
      direction: 'egress',
    },
  },
  {
    name: 'ICMP has a type and no ports',
    change: { protocol: 1, icmpType: 8 },
    want: {
      protocol: 'ICMPv4',
      icmp: { type: 8, code: 0, name: 'EchoRequest' },
      summary: '10.210.0.4 -> 10.210.0.2 icmpv4 EchoRequest',
    },
  },
  {
    name: 'IPv6 addresses stand in brackets before a port',
    change: { source: 'fd00::4', destination: 'fd00::2', protocol: 17 },
    want: { protocol: 'UDP', summary: '[fd00::4]:4242 -> [fd00::2]:80 udp' },
  },
  {
    name: 'an unknown protocol is its number',
    change: { protocol: 47 },
    want: { protocol: '47', summary: '10.210.0.4 -> 10.210.0.2 47' },
  },
  {
    name: 'TCP flags are listed in order',
    change: { tcpFlags: 0x12 },
    want: { tcpFlags: ['SYN', 'ACK'], summary: '10.210.0.4:4242 -> 10.210.0.2:80 tcp SYN, ACK' },
  },
] as const) {
  test(name, () => {
    const flow = enrich(sampleEvent(change), sampleNames);
    assert.deepEqual({ ...flow, ...want }, flow);
  });
}

test('what is no endpoint of this host has no endpoint number and no name', () => {
  const { destination } = enrich(
    sampleEvent({ destinationEndpoint: 0, destinationIdentity: 2 }),
    sampleNames,
  );
  assert.deepEqual(destination, { ip: '10.210.0.2', port: 80, identity: 2, labels: ['reserved:world'] });
});

test('any bytes of an event make a flow, never an exception', () => {
  const byte = fc.integer({ min: 0, max: 255 });
  const fields = fc.record({
    type: byte,
    reason: byte,
    direction: byte,
    match: byte,
    protocol: byte,
    tcpFlags: byte,
    ctState: byte,
    icmpType: byte,
    icmpCode: byte,
  });
  fc.assert(
    fc.property(fields, (change) => {
      const flow = enrich(sampleEvent(change), sampleNames);
      assert.equal(JSON.parse(JSON.stringify(flow)).type, flow.type);
      assert.match(flow.summary, /^\S+ -> \S+ \S/);
    }),
  );
});
