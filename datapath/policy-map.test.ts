import assert from 'node:assert/strict';
import test from 'node:test';
import type { PolicyKey } from '../bpf/index.ts';
import type { PolicyEntry } from '../policy/index.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';
import { PolicyMap } from './policy-map.ts';

const CONFIG = {
  generation: 0,
  traceLevel: 0,
  uplink: 3,
  natLow: 61000,
  natHigh: 65535,
  flags: 0,
  netns: 0n,
};

function entry(peer: number, port = 0, change: Partial<PolicyEntry> = {}): PolicyEntry {
  const protocol = port === 0 ? 0 : 6;
  const portBits = port === 0 ? 0 : 16;
  return { direction: 'ingress', peer, protocol, port, portBits, verdict: 'allow', rule: 1, ...change };
}

function entriesOf(count: number): PolicyEntry[] {
  return Array.from({ length: count }, (_, index) => entry(300, index + 1));
}

function present(fake: FakeMaps, generation?: number): string[] {
  return [...fake.maps.policy.entries()]
    .filter(([key]) => generation === undefined || key.generation === generation)
    .map(([key]) => `${key.generation}: ${key.subject} ${key.peer} ${key.port}`)
    .toSorted();
}

function setUp(generation = 0): { fake: FakeMaps; map: PolicyMap } {
  const fake = fakeMaps();
  fake.maps.config.set(0, { ...CONFIG, generation });
  return { fake, map: new PolicyMap(fake.maps) };
}

function key(generation: number, subject: number, peer: number): PolicyKey {
  return { prefixLength: 104, generation, subject, peer, direction: 1, protocol: 0, port: 0 };
}
const VALUE = { verdict: 1, scope: 0, proxyPort: 0, rule: 1 };

test('a revision is whole in the map before the word flips, and the rest of the configuration stays', () => {
  const { fake, map } = setUp();
  map.replace(new Map([[256, [entry(300)]]]));
  let atFlip: string[] = [];
  fake.raw('weir_config').onWrite = () => (atFlip = present(fake));
  map.replace(
    new Map([
      [256, [entry(301), entry(302, 80)]],
      [257, [entry(301)]],
    ]),
  );
  assert.deepEqual(atFlip, ['1: 256 300 0', '2: 256 301 0', '2: 256 302 80', '2: 257 301 0']);
  assert.deepEqual(fake.maps.config.get(0), { ...CONFIG, generation: 2 });
  assert.equal(map.generation, 2);
  assert.equal(map.size, 3);
});

test('the former revision stays for packets under way, then it goes', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const { fake, map } = setUp();
  map.replace(new Map([[256, entriesOf(3000)]]));
  map.replace(new Map([[256, [entry(301)]]]));
  assert.equal(present(fake, 1).length, 3000);
  context.mock.timers.tick(20);
  assert.equal(present(fake, 1).length, 952, 'a large one goes in parts');
  context.mock.timers.tick(40);
  assert.deepEqual(present(fake), ['2: 256 301 0']);
  map.close();
});

test('the next revision does not wait for the former to have gone', () => {
  const { fake, map } = setUp();
  for (let peer = 300; peer < 305; peer++) map.replace(new Map([[256, [entry(peer)]]]));
  assert.deepEqual(present(fake), ['4: 256 303 0', '5: 256 304 0']);
  map.close();
});

test('what an earlier process left is in force until the first revision, and gone after it', () => {
  const { fake, map } = setUp(7);
  fake.maps.policy.set(key(7, 256, 300), VALUE);
  fake.maps.policy.set(key(6, 256, 300), VALUE);
  assert.equal(map.generation, 7);
  map.replace(new Map([[256, [entry(301)]]]));
  assert.deepEqual(present(fake), ['8: 256 301 0']);
});

test('an import that a crash cut short is not in force under the number that it had', () => {
  const { fake, map } = setUp(7);
  fake.maps.policy.set(key(8, 256, 666), VALUE);
  let atFlip: string[] = [];
  fake.raw('weir_config').onWrite = () => (atFlip = present(fake, 8));
  map.replace(new Map([[256, [entry(301)]]]));
  assert.deepEqual(atFlip, ['8: 256 301 0']);
});

test('a write that fails half way leaves the old revision in force and nothing of the new one', () => {
  const { fake, map } = setUp();
  map.replace(new Map([[256, [entry(300)]]]));
  fake.raw('weir_policy').onWrite = (what, count) => {
    if (what === 'set' && count > 1) throw new Error('no memory');
  };
  assert.throws(() => map.replace(new Map([[256, entriesOf(5)]])), /no memory/);
  assert.deepEqual(present(fake), ['1: 256 300 0']);
  assert.equal(fake.maps.config.get(0)?.generation, 1);
  fake.raw('weir_policy').onWrite = () => {};
  map.add(256, [entry(301)]);
  assert.deepEqual(present(fake), ['1: 256 300 0', '1: 256 301 0']);
});

test('a policy that does not fit beside the one in force is refused before anything is written', () => {
  const { fake, map } = setUp();
  fake.raw('weir_policy').maxEntries = 20;
  map.replace(new Map([[256, entriesOf(10)]]));
  fake.raw('weir_policy').onWrite = () => assert.fail('written');
  assert.throws(() => map.replace(new Map([[256, entriesOf(11)]])), {
    code: 'POLICY_TOO_LARGE',
    message: /11 entries.*room for 10/,
  });
  assert.throws(() => map.add(257, [entry(300)]), { code: 'POLICY_TOO_LARGE' });
  assert.equal(map.size, 10);
  fake.raw('weir_policy').onWrite = () => {};
  map.replace(new Map([[256, entriesOf(10)]]));
  assert.equal(present(fake, 2).length, 10);
  map.close();
});

test('adding leaves peers alone that are there already', () => {
  const { fake, map } = setUp();
  map.replace(new Map([[256, [entry(300, 80)]]]));
  map.add(256, [entry(300, 81), entry(301, 80), entry(301, 81)]);
  assert.deepEqual(present(fake), ['1: 256 300 80', '1: 256 301 80', '1: 256 301 81']);
  assert.equal(map.size, 3);
});

test('an addition that fails half way adds nothing', () => {
  const { fake, map } = setUp();
  map.replace(new Map([[256, [entry(300)]]]));
  fake.raw('weir_policy').maxEntries = 7;
  Object.defineProperty(map, 'capacity', { value: 100 });
  assert.throws(
    () =>
      map.add(
        256,
        entriesOf(9).map((item) => ({ ...item, peer: 301 })),
      ),
    /full/,
  );
  assert.deepEqual(present(fake), ['1: 256 300 0']);
  assert.equal(map.size, 1);
});

test('identities go as subjects and as peers', () => {
  const { fake, map } = setUp();
  map.replace(
    new Map([
      [256, [entry(257), entry(300)]],
      [257, [entry(256), entry(300)]],
      [258, [entry(257, 80), entry(256), entry(300)]],
    ]),
  );
  map.remove([257, 300]);
  assert.deepEqual(present(fake), ['1: 258 256 0']);
  assert.equal(map.size, 1);
  assert.equal(map.hasSubject(257), false);
  map.add(258, [entry(257, 443)]);
  assert.deepEqual(present(fake), ['1: 258 256 0', '1: 258 257 443']);
});

test('protocol and port count as far as the entry names them', () => {
  const { fake, map } = setUp();
  const egress = { direction: 'egress', verdict: 'deny', rule: 9 } as const;
  const range = { protocol: 17, port: 8080, portBits: 12, ...egress };
  map.replace(new Map([[256, [entry(0), entry(0, 0, { protocol: 6, portBits: 0 }), entry(0, 0, range)]]]));
  const found = [...fake.maps.policy.entries()].map(
    ([{ prefixLength, direction, protocol, port }, value]) => ({
      ...{ prefixLength, direction, protocol, port },
      ...value,
    }),
  );
  assert.deepEqual(found, [
    { prefixLength: 104, direction: 1, protocol: 0, port: 0, verdict: 1, scope: 0, proxyPort: 0, rule: 1 },
    { prefixLength: 112, direction: 1, protocol: 6, port: 0, verdict: 1, scope: 1, proxyPort: 0, rule: 1 },
    {
      prefixLength: 124,
      direction: 2,
      protocol: 17,
      port: 8080,
      verdict: 2,
      scope: 2,
      proxyPort: 0,
      rule: 9,
    },
  ]);
});

test('closing ends the taking out', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const { fake, map } = setUp();
  map.replace(new Map([[256, [entry(300)]]]));
  map.replace(new Map([[256, [entry(301)]]]));
  map.close();
  context.mock.timers.tick(1000);
  assert.equal(present(fake).length, 2);
});
