import assert from 'node:assert/strict';
import test from 'node:test';
import { type Decision, decide } from './decide.ts';
import { PEER_ANY, PEER_NETWORK, PEER_WORLD, type PolicyEntry } from './entry.ts';

type Short = [peer: number, ports: `${number}/${number}/${number}`, verdict: 'allow' | 'deny', rule: number];

function entry([peer, ports, verdict, rule]: Short): PolicyEntry {
  const [protocol = 0, port = 0, portBits = 0] = ports.split('/').map(Number);
  return { direction: 'ingress', peer, protocol, port, portBits, verdict, rule };
}

const ALLOWED = { verdict: 'allow', reason: 0 } as const;
const DENIED = { verdict: 'deny', reason: 181 } as const;

/** A TCP connection to port 80 from identity 300, which shares a network with the subject unless told otherwise. */
const CASES: { name: string; entries: Short[]; peer?: number; apart?: true; decision: Decision }[] = [
  {
    name: 'nothing matches',
    entries: [[301, '0/0/0', 'allow', 1]],
    decision: { verdict: 'deny', reason: 133, rule: 0, match: 'none' },
  },
  {
    name: 'the peer',
    entries: [[300, '0/0/0', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'L3-Only' },
  },
  {
    name: 'the peer under a protocol',
    entries: [[300, '6/0/0', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'L3-Proto' },
  },
  {
    name: 'the peer on a port',
    entries: [[300, '6/80/16', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'L3-L4' },
  },
  {
    name: 'anybody on a range of ports',
    entries: [[PEER_ANY, '6/64/10', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'L4-Only' },
  },
  {
    name: 'anybody under a protocol',
    entries: [[PEER_ANY, '6/0/0', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'Proto-Only' },
  },
  {
    name: 'anybody',
    entries: [[PEER_ANY, '0/0/0', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'all' },
  },
  {
    name: 'another protocol',
    entries: [[PEER_ANY, '17/80/16', 'allow', 1]],
    decision: { verdict: 'deny', reason: 133, rule: 0, match: 'none' },
  },
  {
    name: 'the network, for who shares one',
    entries: [[PEER_NETWORK, '0/0/0', 'allow', 1]],
    decision: { ...ALLOWED, rule: 1, match: 'L3-Only' },
  },
  {
    name: 'the network, for who shares none',
    entries: [[PEER_NETWORK, '0/0/0', 'allow', 1]],
    apart: true,
    decision: { verdict: 'deny', reason: 133, rule: 0, match: 'none' },
  },
  {
    name: 'the world, for an address range',
    entries: [[PEER_WORLD, '0/0/0', 'allow', 1]],
    peer: 0x1000001,
    decision: { ...ALLOWED, rule: 1, match: 'L3-Only' },
  },
  {
    name: 'the most specific entry of one peer',
    entries: [
      [300, '0/0/0', 'allow', 1],
      [300, '6/80/16', 'deny', 2],
      [300, '6/64/10', 'allow', 3],
    ],
    decision: { ...DENIED, rule: 2, match: 'L3-L4' },
  },
  {
    name: 'a wide deny of anybody over a narrow allow of the peer',
    entries: [
      [300, '6/80/16', 'allow', 1],
      [PEER_ANY, '0/0/0', 'deny', 2],
    ],
    decision: { ...DENIED, rule: 2, match: 'all' },
  },
  {
    name: 'of several allows the one that is closest to the peer is named',
    entries: [
      [PEER_ANY, '6/80/16', 'allow', 1],
      [PEER_NETWORK, '0/0/0', 'allow', 2],
      [300, '0/0/0', 'allow', 3],
    ],
    decision: { ...ALLOWED, rule: 3, match: 'L3-Only' },
  },
];

for (const { name, entries, peer = 300, apart = false, decision } of CASES) {
  test(`decided by: ${name}`, () => {
    const query = { direction: 'ingress', peer: { id: peer, labels: [] }, sameNetwork: !apart } as const;
    assert.deepEqual(decide(entries.map(entry), { ...query, protocol: 6, port: 80 }), decision);
  });
}

test('entries of the other direction say nothing', () => {
  const query = {
    direction: 'egress',
    peer: { id: 300, labels: [] },
    sameNetwork: true,
    protocol: 6,
    port: 80,
  } as const;
  assert.equal(decide([entry([300, '0/0/0', 'allow', 1])], query).reason, 133);
});
