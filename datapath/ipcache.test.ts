import assert from 'node:assert/strict';
import test from 'node:test';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';
import { Ipcache, textOf } from './ipcache.ts';

const HOST = 1;
const WORLD = 2;
const UNROUTABLE = 1;
const NATIVE = 2;
const RANGE = 0x1000001;

/** Prefix → identity and flags, as the map has them. */
function contents({ maps }: FakeMaps): Record<string, [number, number]> {
  return Object.fromEntries(
    [...maps.ipcache.entries()].map(([key, { identity, flags }]) => [textOf(key), [identity, flags]]),
  );
}

function setUp(): { fake: FakeMaps; ipcache: Ipcache } {
  const fake = fakeMaps();
  return { fake, ipcache: new Ipcache(fake.maps.ipcache) };
}

test('everything is the world but what is named, each family for itself', () => {
  const { fake, ipcache } = setUp();
  ipcache.update({ cluster: ['10.210.0.0/16'], native: ['172.16.0.0/12'], host: ['192.0.2.7', 'fd00::1'] });
  assert.deepEqual(contents(fake), {
    '0.0.0.0/0': [WORLD, 0],
    '::/0': [WORLD, 0],
    '10.210.0.0/16': [WORLD, UNROUTABLE],
    '172.16.0.0/12': [WORLD, NATIVE],
    '192.0.2.7/32': [HOST, 0],
    'fd00::1/128': [HOST, 0],
  });
  const keys = [...fake.maps.ipcache.entries()].map(([key]) => key);
  assert.deepEqual(
    keys.find(({ address }) => address === '10.210.0.0'),
    { prefixLength: 96 + 16, address: '10.210.0.0' },
  );
});

test('a range of policy keeps the way of the prefix it is in, and a prefix within a range has its number', () => {
  const { fake, ipcache } = setUp();
  const policy = [
    { cidr: '172.16.0.0/12', id: RANGE },
    { cidr: '10.0.0.0/8', id: RANGE + 1 },
    { cidr: '10.210.3.0/24', id: RANGE + 2 },
    { cidr: '0.0.0.0/0', id: RANGE + 3 },
  ];
  ipcache.update({ cluster: ['10.210.0.0/16'], native: ['172.16.0.0/12', '172.20.0.0/16'], policy });
  assert.deepEqual(contents(fake), {
    '0.0.0.0/0': [RANGE + 3, 0],
    '::/0': [WORLD, 0],
    '10.210.0.0/16': [RANGE + 1, UNROUTABLE],
    '172.16.0.0/12': [RANGE, NATIVE],
    '172.20.0.0/16': [RANGE, NATIVE],
    '10.0.0.0/8': [RANGE + 1, 0],
    '10.210.3.0/24': [RANGE + 2, UNROUTABLE],
  });
});

test('an address of the host is the host, whatever policy or networks say about it', () => {
  const { fake, ipcache } = setUp();
  ipcache.update({
    cluster: ['10.210.0.0/16'],
    policy: [{ cidr: '10.210.0.1/32', id: RANGE }],
    host: ['10.210.0.1'],
  });
  assert.deepEqual(contents(fake)['10.210.0.1/32'], [HOST, 0]);
});

test('only what changed is written, the new before the old goes', () => {
  const { fake, ipcache } = setUp();
  ipcache.update({ cluster: ['10.210.0.0/16'], host: ['192.0.2.7'] });
  const writes: string[] = [];
  fake.raw('weir_ipcache').onWrite = (what, count) => writes.push(`${what} ${count}`);
  ipcache.update({ host: ['192.0.2.7'] });
  assert.deepEqual(writes, []);
  ipcache.update({ host: ['192.0.2.8'], cluster: ['10.210.0.0/16', '10.99.0.0/24'] });
  assert.deepEqual(writes, ['set 2', 'delete 1']);
  assert.deepEqual(Object.keys(contents(fake)).toSorted(), [
    '0.0.0.0/0',
    '10.210.0.0/16',
    '10.99.0.0/24',
    '192.0.2.8/32',
    '::/0',
  ]);
});

test('what an earlier process left is known: its ranges stay until they are said anew, the rest is compared', () => {
  const { fake, ipcache } = setUp();
  const policy = [{ cidr: '10.0.0.0/8', id: RANGE + 5 }];
  ipcache.update({ cluster: ['10.210.0.0/16'], native: ['10.9.0.0/16'], policy, host: ['192.0.2.7'] });
  const next = new Ipcache(fake.maps.ipcache);
  assert.deepEqual(next.sources.policy, policy, 'one range per number, the prefixes in it have no own');
  assert.equal(next.rangeOf(RANGE + 5), '10.0.0.0/8');
  fake.raw('weir_ipcache').onWrite = (what) => assert.equal(what, 'delete');
  next.update({ cluster: ['10.210.0.0/16'], native: ['10.9.0.0/16'], host: [] });
  assert.deepEqual(contents(fake)['10.0.0.0/8'], [RANGE + 5, 0]);
  assert.equal(contents(fake)['192.0.2.7/32'], undefined);
  fake.raw('weir_ipcache').onWrite = () => {};
  next.update({ policy: [{ cidr: '10.0.0.0/9', id: RANGE + 6 }] });
  assert.deepEqual([next.rangeOf(RANGE + 5), next.rangeOf(RANGE + 6)], [undefined, '10.0.0.0/9']);
});

test('after a write that failed half way the next one completes it', () => {
  const { fake, ipcache } = setUp();
  ipcache.update({});
  const map = fake.raw('weir_ipcache');
  map.maxEntries = 3;
  assert.throws(() => ipcache.update({ host: ['192.0.2.7', '192.0.2.8'] }), /full/);
  assert.deepEqual(ipcache.sources.host, []);
  map.maxEntries = 100;
  ipcache.update({ host: ['192.0.2.8', '192.0.2.9'] });
  assert.deepEqual(Object.keys(contents(fake)).toSorted(), [
    '0.0.0.0/0',
    '192.0.2.8/32',
    '192.0.2.9/32',
    '::/0',
  ]);
});
