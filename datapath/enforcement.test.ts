import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { addressBytes } from '../base/index.ts';
import type { PolicyKey } from '../bpf/index.ts';
import { CidrIdentities } from '../identity/index.ts';
import { parsePolicy } from '../policy/index.ts';
import type { PolicyContext, Rule } from '../policy/index.ts';
import { Enforcement } from './enforcement.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';
import { Ipcache, textOf } from './ipcache.ts';
import { PolicyMap } from './policy-map.ts';

const WORLD = 2;
const SPACES: Record<string, number> = { front: 2, back: 3 };
const context: PolicyContext = { mode: 'default', spaceOf: (network) => SPACES[network] ?? 0 };

interface Rig {
  fake: FakeMaps;
  enforcement: Enforcement;
  policyMap: PolicyMap;
  close(): void;
}

function rig(fake: FakeMaps = fakeMaps()): Rig {
  const config = fake.maps.config.get(0) ?? {
    generation: 0,
    traceLevel: 0,
    uplink: 0,
    natLow: 0,
    flags: 0,
    netns: 0n,
    natHigh: 0,
  };
  fake.maps.config.set(0, config);
  const policyMap = new PolicyMap(fake.maps);
  const ipcache = new Ipcache(fake.maps.ipcache);
  ipcache.update({});
  const cidrs = new CidrIdentities(ipcache.sources.policy);
  const enforcement = new Enforcement({ policyMap, ipcache, cidrs, context });
  return { fake, enforcement, policyMap, close: () => policyMap.close() };
}

function rulesOf(...rules: object[]): Rule[] {
  return parsePolicy(JSON.stringify(rules), 'rules.json');
}

const labelsOf = (id: number): string[] => [
  `container:id=${'abcd'[id % 4]}`,
  `weir:network=${id % 3 === 0 ? 'back' : 'front'}`,
];

interface Flow {
  subject: number;
  direction: number;
  address: string;
  port: number;
}

function bitsOf(address: string): string {
  return [...addressBytes(address)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

/** Whose an address is for the datapath. */
function identityOf({ maps }: FakeMaps, address: string): number {
  const wanted = bitsOf(address);
  const around = [...maps.ipcache.entries()].filter(([key]) =>
    wanted.startsWith(bitsOf(key.address).slice(0, key.prefixLength)),
  );
  return around.toSorted(([a], [b]) => b.prefixLength - a.prefixLength)[0]?.[1].identity ?? WORLD;
}

function matches(key: PolicyKey, { subject, direction, port }: Flow, peer: number): boolean {
  const portBits = Math.max(0, key.prefixLength - 112);
  const isPort = key.port >> (16 - portBits) === port >> (16 - portBits);
  const isProtocol = key.prefixLength === 104 || (key.protocol === 6 && isPort);
  return key.subject === subject && key.direction === direction && key.peer === peer && isProtocol;
}

/** What the datapath says to packets of TCP between subjects and addresses outside, by the maps as they are. */
function verdicts(fake: FakeMaps, flows: Flow[]): string {
  const { generation } = fake.maps.config.get(0) ?? {};
  const entries = [...fake.maps.policy.entries()]
    .filter(([key]) => key.generation === generation)
    .toSorted(([a], [b]) => b.prefixLength - a.prefixLength);
  const identities = new Map(flows.map(({ address }) => [address, identityOf(fake, address)]));
  const verdict = (flow: Flow): string => {
    const peers = [identities.get(flow.address) ?? WORLD, WORLD, 0];
    const hits = peers.map((peer) => entries.find(([key]) => matches(key, flow, peer))?.[1].verdict);
    return hits.includes(2) ? 'deny' : hits.includes(1) ? 'allow' : 'none';
  };
  return flows.map(verdict).join(' ');
}

/** Entries in force and who is who, free of generations and of the numbers that ranges happen to have. */
function inForce({ maps }: FakeMaps): string[] {
  const names = new Map<number, string>();
  const ranges = [...maps.ipcache.entries()].map(([key, { identity }]) => {
    if (identity > 0xffffff) names.set(identity, textOf(key));
    return `${textOf(key)} is ${names.get(identity) ?? identity}`;
  });
  const generation = maps.config.get(0)?.generation;
  const entries = [...maps.policy.entries()].flatMap(([key, value]) => {
    const { prefixLength, subject, peer, direction, protocol, port } = key;
    const line = [
      prefixLength,
      subject,
      names.get(peer) ?? peer,
      direction,
      protocol,
      port,
      ...Object.values(value),
    ];
    return key.generation === generation ? [line.join(' ')] : [];
  });
  return [...ranges.toSorted(), ...entries.toSorted()];
}

const selector = fc.constantFrom(
  {},
  { matchLabels: { id: 'a' } },
  { matchLabels: { id: 'b' } },
  { matchLabels: { 'weir:network': 'back' } },
  { matchExpressions: [{ key: 'id', operator: 'In', values: ['c', 'd'] }] },
);
const range = fc.constantFrom(
  { cidr: '10.0.0.0/8' },
  { cidr: '10.1.0.0/16' },
  { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] },
  { cidr: '10.1.2.0/24', except: ['10.1.2.128/25'] },
  { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] },
  { cidr: '192.0.2.0/24' },
);
const port = fc.record({
  port: fc.constantFrom('80', '443', '0'),
  protocol: fc.constantFrom('TCP', 'UDP', 'ANY'),
});
const toPorts = fc.option(
  fc.array(fc.record({ ports: fc.array(port, { minLength: 1, maxLength: 2 }) }), { maxLength: 1 }),
  {
    nil: undefined,
  },
);

function item(way: 'from' | 'to'): fc.Arbitrary<object> {
  const peers = fc.oneof(
    fc.record({ [`${way}Endpoints`]: fc.array(selector, { maxLength: 2 }) }),
    fc.record({ [`${way}CIDRSet`]: fc.array(range, { minLength: 1, maxLength: 2 }) }),
    fc.record({ [`${way}Entities`]: fc.constantFrom(['all'], ['world'], ['host'], ['cluster']) }),
  );
  return fc.tuple(peers, toPorts).map(([peer, ports]) => (ports ? { ...peer, toPorts: ports } : peer));
}
const items = (way: 'from' | 'to'): fc.Arbitrary<object[]> =>
  fc.array(item(way), { minLength: 1, maxLength: 2 });
const rules = fc.array(
  fc
    .record(
      {
        endpointSelector: selector,
        ingress: items('from'),
        ingressDeny: items('from'),
        egress: items('to'),
        egressDeny: items('to'),
      },
      { requiredKeys: ['endpointSelector'] },
    )
    .filter((rule) => Object.keys(rule).length > 1),
  { maxLength: 4 },
);
const identities = fc.uniqueArray(fc.integer({ min: 256, max: 267 }), { maxLength: 6 });

test('peers that come and go one by one leave the same as a fresh start with them', () => {
  fc.assert(
    fc.property(
      rules,
      rules,
      fc.tuple(identities, identities, identities),
      (first, second, [early, late, gone]) => {
        const grown = rig();
        grown.enforcement.apply(rulesOf(...first));
        grown.enforcement.commit();
        for (const id of early) grown.enforcement.admit(id, labelsOf(id));
        grown.enforcement.apply(rulesOf(...second));
        for (const id of late) grown.enforcement.admit(id, labelsOf(id));
        for (const id of gone) grown.enforcement.forget(id);
        const fresh = rig();
        for (const id of new Set([...early, ...late]))
          if (!gone.includes(id)) fresh.enforcement.admit(id, labelsOf(id));
        fresh.enforcement.apply(rulesOf(...second));
        fresh.enforcement.commit();
        assert.deepEqual(inForce(grown.fake), inForce(fresh.fake));
        assert.equal(grown.policyMap.size, fresh.policyMap.size);
        grown.close();
        fresh.close();
      },
    ),
    { numRuns: 300 },
  );
});

const FLOWS: Flow[] = [1, 2].flatMap((direction) =>
  ['10.1.2.3', '10.1.2.200', '10.1.9.9', '10.9.9.9', '192.0.2.1', '203.0.113.1'].flatMap((address) =>
    [80, 443].map((port) => ({ subject: 256, direction, address, port })),
  ),
);

test('at every single write, packets to and from ranges meet the whole old policy or the whole new one', () => {
  fc.assert(
    fc.property(rules, rules, (before, after) => {
      const { fake, enforcement, close } = rig();
      for (const id of [256, 257]) enforcement.admit(id, labelsOf(id));
      enforcement.apply(rulesOf(...before));
      enforcement.commit();
      const seen: string[] = [verdicts(fake, FLOWS)];
      for (const name of ['weir_config', 'weir_policy', 'weir_ipcache'])
        fake.raw(name).onStep = () => {
          const now = verdicts(fake, FLOWS);
          if (now !== seen.at(-1)) seen.push(now);
        };
      enforcement.apply(rulesOf(...after));
      assert.ok(seen.length <= 2, 'no third policy in between');
      close();
    }),
    { numRuns: 150 },
  );
});

test('restoring: what an earlier process left is in force, ranges included, until the commit', () => {
  const earlier = rig();
  earlier.enforcement.admit(256, labelsOf(256));
  const policy = rulesOf({ endpointSelector: {}, egressDeny: [{ toCIDR: ['192.0.2.0/24'] }] });
  earlier.enforcement.apply(policy);
  earlier.enforcement.commit();
  earlier.close();
  const { fake } = earlier;
  const flow = { subject: 256, direction: 2, address: '192.0.2.1', port: 80 };
  const number = identityOf(fake, '192.0.2.1');
  const seen = new Set<string>();
  for (const name of ['weir_config', 'weir_policy', 'weir_ipcache'])
    fake.raw(name).onStep = () => seen.add(`${verdicts(fake, [flow])} ${identityOf(fake, '192.0.2.1')}`);
  const { enforcement, close } = rig(fake);
  enforcement.apply(policy);
  enforcement.admit(256, labelsOf(256));
  assert.equal(fake.maps.config.get(0)?.generation, 1);
  enforcement.commit();
  assert.equal(fake.maps.config.get(0)?.generation, 2);
  assert.deepEqual([...seen], [`deny ${number}`]);
  close();
});

test('restoring: a range that the policy no longer names is known until the commit, and not longer', () => {
  const { fake, enforcement, close } = rig();
  enforcement.apply(rulesOf({ endpointSelector: {}, egress: [{ toCIDR: ['192.0.2.0/24'] }] }));
  enforcement.commit();
  close();
  const number = identityOf(fake, '192.0.2.1');
  const next = rig(fake);
  next.enforcement.apply([]);
  assert.equal(identityOf(fake, '192.0.2.1'), number);
  next.enforcement.commit();
  assert.equal(identityOf(fake, '192.0.2.1'), WORLD);
  next.close();
});

test('a policy that is refused leaves the old one with its ranges', () => {
  const { fake, enforcement, close } = rig();
  enforcement.admit(256, labelsOf(256));
  enforcement.apply(rulesOf({ endpointSelector: {}, egress: [{ toCIDR: ['10.0.0.0/8'] }] }));
  enforcement.commit();
  const before = inForce(fake);
  fake.raw('weir_policy').maxEntries = 40;
  const ports = Array.from({ length: 30 }, (_, index) => ({ port: String(2 * index + 1), protocol: 'TCP' }));
  const large = rulesOf({
    endpointSelector: {},
    egress: [{ toCIDR: ['10.1.0.0/16'], toPorts: [{ ports }] }],
  });
  assert.throws(() => enforcement.apply(large), { code: 'POLICY_TOO_LARGE' });
  assert.deepEqual(inForce(fake), before);
  enforcement.admit(257, labelsOf(257));
  const fresh = rig();
  for (const id of [256, 257]) fresh.enforcement.admit(id, labelsOf(id));
  fresh.enforcement.apply(rulesOf({ endpointSelector: {}, egress: [{ toCIDR: ['10.0.0.0/8'] }] }));
  fresh.enforcement.commit();
  assert.deepEqual(inForce(fake), inForce(fresh.fake));
  close();
  fresh.close();
});

test('an identity for which there is no room is not taken in, by half neither', () => {
  const { fake, enforcement, policyMap, close } = rig();
  for (const id of [256, 257]) enforcement.admit(id, labelsOf(id));
  enforcement.apply(
    rulesOf({ endpointSelector: {}, ingress: [{ fromEndpoints: [{ matchLabels: { id: 'c' } }] }] }),
  );
  enforcement.commit();
  const before = inForce(fake);
  fake.raw('weir_policy').maxEntries = 2 * (policyMap.size + 1);
  assert.throws(() => enforcement.admit(258, labelsOf(258)), { code: 'POLICY_TOO_LARGE' });
  assert.deepEqual(inForce(fake), before);
  assert.deepEqual(enforcement.enforced(258), { ingress: false, egress: false });
  close();
});

test('which directions policy decides is known for every identity, also for one that comes later', () => {
  const { enforcement, close } = rig();
  enforcement.commit();
  enforcement.admit(256, labelsOf(256));
  assert.deepEqual(enforcement.enforced(256), { ingress: false, egress: false });
  enforcement.apply(rulesOf({ endpointSelector: { matchLabels: { id: 'a' } }, ingress: [{}] }));
  assert.deepEqual(enforcement.enforced(256), { ingress: true, egress: false });
  enforcement.admit(260, labelsOf(260));
  assert.deepEqual(enforcement.enforced(260), { ingress: true, egress: false });
  enforcement.admit(257, labelsOf(257));
  assert.deepEqual(enforcement.enforced(257), { ingress: false, egress: false });
  close();
});

test('networks that come to share a space are neighbours after a refresh', () => {
  const { fake, enforcement, close } = rig();
  for (const id of [256, 258]) enforcement.admit(id, labelsOf(id));
  const rule = {
    endpointSelector: { matchLabels: { id: 'a' } },
    ingress: [{ fromEndpoints: [{ matchLabels: { id: 'c' } }] }],
  };
  enforcement.apply(rulesOf(rule));
  enforcement.commit();
  const admitted = (): boolean =>
    [...fake.maps.policy.entries()].some(
      ([key]) =>
        key.subject === 256 && key.peer === 258 && key.generation === fake.maps.config.get(0)?.generation,
    );
  assert.equal(admitted(), false);
  SPACES['back'] = 2;
  enforcement.refresh();
  SPACES['back'] = 3;
  assert.equal(admitted(), true);
  close();
});
