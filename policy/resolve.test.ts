import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { RESERVED } from '../identity/index.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { type Decision, decide } from './decide.ts';
import { PEER_ANY, PEER_NETWORK, PEER_WORLD } from './entry.ts';
import { Identities, contextOf } from './identities.test-support.ts';
import { type Peer, type PolicyContext, sameNetwork } from './isolation.ts';
import { type ModelContext, type ModelPacket, type ModelPeer, model } from './model.test-support.ts';
import { parsePolicy } from './parse.ts';
import * as random from './random-policy.test-support.ts';
import { resolve } from './resolve.ts';

interface Scene {
  policy: CompiledPolicy;
  subject: ModelPeer;
  peers: ModelPeer[];
  context: ModelContext;
}

/** The verdicts of a subject's entries, resolved towards everybody in the scene. */
function decider({ policy, subject, peers, context }: Scene): (packet: ModelPacket) => Decision {
  const identities = new Identities(policy.cidrs);
  const world = contextOf(context);
  const self = identities.of(subject);
  const all = [...peers.map((peer) => identities.of(peer)), ...identities.ranges];
  const { entries } = resolve(policy, self, all, world);
  return ({ direction, peer, protocol, port }) => {
    const other = identities.of(peer);
    return decide(entries, {
      direction,
      peer: other,
      sameNetwork: sameNetwork(self, other, world),
      protocol,
      port,
    });
  };
}

test('the entries say what the rules say, for any rules, endpoints, addresses and ports', () => {
  let denied = 0;
  let allowed = 0;
  fc.assert(
    fc.property(
      random.rules,
      fc.array(random.peer, { minLength: 1, maxLength: 6 }),
      fc.array(random.flow, { minLength: 1, maxLength: 6 }),
      fc.record({ subject: random.subject, context: random.context }),
      (texts, peers, flows, { subject, context }) => {
        const rules = parsePolicy(JSON.stringify(texts), 'random');
        const ask = decider({ policy: compile(rules), subject, peers, context });
        for (const peer of peers) {
          for (const flow of flows) {
            const packet = { ...flow, subject, peer };
            const expected = model(rules, packet, context);
            const found = ask(packet);
            assert.equal(found.reason, expected.reason, JSON.stringify(packet));
            if (expected.reason !== 133) {
              assert.ok(expected.because.includes(found.rule), `rule ${found.rule}`);
            }
            if (expected.reason === 0) allowed++;
            else denied++;
          }
        }
      },
    ),
    { numRuns: 800 },
  );
  assert.ok(allowed > 300 && denied > 300, `one-sided test: ${allowed} allowed, ${denied} denied`);
});

test('resolving for a peer that came later gives the entries towards it that resolving for all would have given', () => {
  fc.assert(
    fc.property(
      random.rules,
      random.subject,
      fc.array(random.peer, { maxLength: 4 }),
      (texts, subject, peers) => {
        const policy = compile(parsePolicy(JSON.stringify(texts), 'random'));
        const identities = new Identities(policy.cidrs);
        const [self, world] = [identities.of(subject), contextOf({ mode: 'default' })];
        const known = peers.map((peer) => identities.of(peer));
        const keyed = (some: Peer[]): string[] =>
          resolve(policy, self, some, world).entries.map((entry) => JSON.stringify(entry));
        const together = new Set(keyed(known));
        const apart = new Set(known.flatMap((peer) => keyed([peer])).concat(keyed([])));
        assert.deepEqual(apart, together);
      },
    ),
    { numRuns: 300 },
  );
});

test('within one peer no entry hides another, and none is there twice', () => {
  fc.assert(
    fc.property(random.rules, random.subject, (texts, subject) => {
      const policy = compile(parsePolicy(JSON.stringify(texts), 'random'));
      const identities = new Identities(policy.cidrs);
      const { entries } = resolve(
        policy,
        identities.of(subject),
        identities.ranges,
        contextOf({ mode: 'default' }),
      );
      const keys = entries.map((e) => [e.direction, e.peer, e.protocol, e.port, e.portBits].join());
      assert.equal(new Set(keys).size, keys.length);
      for (const entry of entries) {
        if (entry.protocol === 0) assert.deepEqual([entry.port, entry.portBits], [0, 0]);
        if (entry.portBits === 0) assert.equal(entry.port, 0);
        assert.equal(entry.port & (0xffff >> entry.portBits), 0, 'bits after the prefix are zero');
      }
    }),
    { numRuns: 300 },
  );
});

const WEB: Peer = { id: 256, labels: ['container:id=web', 'weir:network=front'] };
const CLIENT: Peer = { id: 257, labels: ['container:id=client', 'weir:network=front'] };

function entriesOf(rules: object | object[], subject = WEB, peers = [WEB, CLIENT]): string[] {
  const texts = [rules].flat().map((rule) => ({ endpointSelector: {}, ...rule }));
  const policy = compile(parsePolicy(JSON.stringify(texts), 'test'));
  return resolve(policy, subject, peers, contextOf({ mode: 'default' }))
    .entries.filter((entry) => entry.rule > 0)
    .map((e) => `${e.verdict} ${e.peer} ${e.protocol}/${e.port}/${e.portBits}`);
}

const ENTRIES: { name: string; rule: object; entries: string[] }[] = [
  {
    name: 'an empty selector is one entry for the whole network',
    rule: { ingress: [{ fromEndpoints: [{}] }] },
    entries: [`allow ${PEER_NETWORK} 0/0/0`],
  },
  {
    name: 'a selector is one entry per identity it matches',
    rule: { ingress: [{ fromEndpoints: [{ matchLabels: { id: 'client' } }] }] },
    entries: ['allow 257 0/0/0'],
  },
  {
    name: 'entity all is anybody',
    rule: { egress: [{ toEntities: ['all'] }] },
    entries: [`allow ${PEER_ANY} 0/0/0`],
  },
  {
    name: 'entity world is a class',
    rule: { egress: [{ toEntities: ['world'] }] },
    entries: [`allow ${PEER_WORLD} 0/0/0`],
  },
  {
    name: 'entity cluster is the host, its like, and every endpoint',
    rule: { ingress: [{ fromEntities: ['cluster'] }] },
    entries: [1, 6, 5, 4, 3, 7, 8, 256, 257].map((id) => `allow ${id} 0/0/0`),
  },
  {
    name: 'a port without a peer is anybody on that port, under each protocol',
    rule: { ingress: [{ toPorts: [{ ports: [{ port: 80 }] }] }] },
    entries: ['allow 0 6/80/16', 'allow 0 17/80/16', 'allow 0 132/80/16'],
  },
  {
    name: 'a range of ports becomes prefixes',
    rule: { ingress: [{ toPorts: [{ ports: [{ port: 80, endPort: 87, protocol: 'TCP' }] }] }] },
    entries: ['allow 0 6/80/13'],
  },
  {
    name: 'port 0 is every port of the protocol',
    rule: { ingress: [{ toPorts: [{ ports: [{ port: '0', protocol: 'UDP' }] }] }] },
    entries: ['allow 0 17/0/0'],
  },
  {
    name: 'a message without a peer is anybody with that type, in its family only',
    rule: { ingress: [{ icmps: [{ fields: [{ type: 'EchoRequest' }, { family: 'IPv6', type: 128 }] }] }] },
    entries: ['allow 0 1/8/16', 'allow 0 58/128/16'],
  },
  {
    name: 'a message with a peer is of that peer',
    rule: {
      ingress: [{ fromEndpoints: [{ matchLabels: { id: 'client' } }], icmps: [{ fields: [{ type: 0 }] }] }],
    },
    entries: ['allow 257 1/0/16'],
  },
  {
    name: 'reserved entities of Kubernetes are their numbers',
    rule: { ingress: [{ fromEntities: ['ingress', 'kube-apiserver'] }] },
    entries: ['allow 8 0/0/0', 'allow 7 0/0/0'],
  },
  {
    name: 'within a deny no allow is left',
    rule: {
      ingress: [{ fromEntities: ['all'], toPorts: [{ ports: [{ port: 80, protocol: 'TCP' }] }] }],
      ingressDeny: [{ toPorts: [{ ports: [{ port: 64, endPort: 127, protocol: 'TCP' }] }] }],
    },
    entries: ['deny 0 6/64/10'],
  },
  {
    name: 'a deny within an allow stays',
    rule: {
      ingress: [{ fromEntities: ['all'] }],
      ingressDeny: [{ toPorts: [{ ports: [{ port: 22, protocol: 'TCP' }] }] }],
    },
    entries: ['deny 0 6/22/16', 'allow 0 0/0/0'],
  },
  {
    name: 'an allow within an allow is folded into it',
    rule: {
      ingress: [{ fromEndpoints: [{}] }, { fromEndpoints: [{}], toPorts: [{ ports: [{ port: 80 }] }] }],
    },
    entries: [`allow ${PEER_NETWORK} 0/0/0`],
  },
  { name: 'an empty item admits nobody', rule: { ingress: [{}] }, entries: [] },
  {
    name: 'an empty list of selectors admits nobody, port or not',
    rule: { ingress: [{ fromEndpoints: [], toPorts: [{ ports: [{ port: 80 }] }] }] },
    entries: [],
  },
];

for (const { name, rule, entries } of ENTRIES) {
  test(name, () => assert.deepEqual(entriesOf(rule), entries));
}

const NEAR: Peer = { id: 258, labels: ['container:env=prod', 'container:id=client', 'weir:network=front'] };
const FAR: Peer = { id: 259, labels: ['container:env=prod', 'container:id=client', 'weir:network=back'] };
const PROD = { matchLabels: { env: 'prod' } };
const CLIENTS = { matchLabels: { id: 'client' } };

const REQUIRED: { name: string; rules: object[]; entries: string[] }[] = [
  { name: 'alone grant nothing', rules: [{ ingress: [{ fromRequires: [PROD] }] }], entries: [] },
  {
    name: 'narrow the selectors of other rules',
    rules: [{ ingress: [{ fromRequires: [PROD] }] }, { ingress: [{ fromEndpoints: [CLIENTS] }] }],
    entries: ['allow 258 0/0/0'],
  },
  {
    name: 'narrow the whole network, which is then one entry per endpoint',
    rules: [{ ingress: [{ fromEndpoints: [{}], fromRequires: [PROD] }] }],
    entries: ['allow 258 0/0/0'],
  },
  {
    name: 'must all be met',
    rules: [{ ingress: [{ fromEndpoints: [{}], fromRequires: [PROD, { matchLabels: { id: 'x' } }] }] }],
    entries: [],
  },
  {
    name: 'do not carry a selector into other networks',
    rules: [
      {
        ingress: [{ fromEndpoints: [CLIENTS], fromRequires: [{ matchLabels: { 'weir:network': 'back' } }] }],
      },
    ],
    entries: [],
  },
  {
    name: 'that ask for nothing leave the network one entry',
    rules: [{ ingress: [{ fromEndpoints: [{}], fromRequires: [{}] }] }],
    entries: [`allow ${PEER_NETWORK} 0/0/0`],
  },
  {
    name: 'are for labels: entities and anybody on a port are as they were',
    rules: [
      { ingress: [{ fromRequires: [PROD] }] },
      { ingress: [{ fromEntities: ['host'] }, { icmps: [{ fields: [{ type: 8 }] }] }] },
    ],
    entries: ['allow 1 0/0/0', 'allow 0 1/8/16'],
  },
  {
    name: 'of one direction leave the other alone',
    rules: [{ ingress: [{ fromRequires: [PROD] }], egress: [{ toEndpoints: [{}] }] }],
    entries: [`allow ${PEER_NETWORK} 0/0/0`],
  },
  {
    name: 'leave denials whole',
    rules: [{ ingress: [{ fromRequires: [PROD] }], ingressDeny: [{ fromEndpoints: [CLIENTS] }] }],
    entries: ['deny 257 0/0/0', 'deny 258 0/0/0'],
  },
  {
    name: 'of rules for others do not count',
    rules: [
      { endpointSelector: { matchLabels: { id: 'client' } }, ingress: [{ fromRequires: [PROD] }] },
      { ingress: [{ fromEndpoints: [{}] }] },
    ],
    entries: [`allow ${PEER_NETWORK} 0/0/0`],
  },
];

for (const { name, rules, entries } of REQUIRED) {
  test(`requirements ${name}`, () => {
    assert.deepEqual(entriesOf(rules, WEB, [WEB, CLIENT, NEAR, FAR]), entries);
  });
}

test('10,000 ports for 50 subjects resolve to 10,000 entries each, and a deny over them to one', () => {
  const ports = Array.from({ length: 10_000 }, (_, at) => ({ port: at * 2 + 1, protocol: 'TCP' }));
  assert.equal(entriesOf({ ingress: [{ toPorts: [{ ports }] }] }).length, 10_000);
  const denied = entriesOf({
    ingress: [{ toPorts: [{ ports }] }],
    ingressDeny: [{ fromEntities: ['all'] }],
  });
  assert.deepEqual(denied, ['deny 0 0/0/0']);
});

test('enforcement is per direction, and modes set it aside', () => {
  const policy = compile(parsePolicy('{endpointSelector: {}, ingress: [{}]}', 'test'));
  const enforced = (mode: PolicyContext['mode'], subject = WEB): boolean[] => {
    const found = resolve(policy, subject, [], contextOf({ mode }));
    return [found.ingressEnforced, found.egressEnforced];
  };
  assert.deepEqual(enforced('default'), [true, false]);
  assert.deepEqual(enforced('always'), [true, true]);
  assert.deepEqual(enforced('never'), [false, false]);
  assert.deepEqual(enforced('never', { id: RESERVED.init, labels: ['reserved:init'] }), [true, true]);
});
