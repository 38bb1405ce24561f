import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  BpfMap,
  hasFeature,
  MAP_FLAG,
  MAP_TYPE,
  openPinnedProgram,
  possibleCpus,
  unpin,
} from '../../kernel/index.ts';
import { scratchBpffs, uniqueName } from './scratch.ts';

/** No kernel has batches for this type, and lo may stand in it: for the way without batches. */
const DEVMAP_HASH = 25;

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function words(values: Iterable<number>): Buffer {
  return Buffer.concat(Array.from(values, word));
}

function open(type: number, maxEntries: number, flags = 0): BpfMap & Disposable {
  const map = BpfMap.create({ type, name: uniqueName(), keySize: 4, valueSize: 4, maxEntries, flags });
  return Object.assign(map, { [Symbol.dispose]: () => map.close() });
}

function contents(map: BpfMap): Map<number, number> {
  const found = new Map<number, number>();
  for (const { key, value } of map.entries()) {
    assert.ok(!found.has(key.readUInt32LE()), 'no key comes twice');
    found.set(key.readUInt32LE(), value.readUInt32LE());
  }
  return found;
}

test('a hash holds what is written, and says what is not there', () => {
  using map = open(MAP_TYPE.hash, 4);
  assert.equal(map.lookup(word(1)), undefined);
  map.update(word(1), word(10));
  assert.deepEqual(map.lookup(word(1)), word(10));
  assert.equal(map.delete(word(1)), true);
  assert.equal(map.delete(word(1)), false);
});

test('update flags are kept: noexist refuses a known key, exist an unknown one', () => {
  using map = open(MAP_TYPE.hash, 4);
  assert.throws(() => map.update(word(1), word(1), 'exist'), { errno: 'ENOENT' });
  map.update(word(1), word(1), 'noexist');
  assert.throws(() => map.update(word(1), word(2), 'noexist'), { errno: 'EEXIST' });
  map.update(word(1), word(3), 'exist');
  assert.deepEqual(map.lookup(word(1)), word(3));
});

test('a full hash refuses by name, with one update and with a batch', () => {
  using map = open(MAP_TYPE.hash, 3);
  const refusal = { errno: 'E2BIG', message: new RegExp(`update map ${map.name}`) };
  assert.throws(() => map.updateBatch(words([1, 2, 3, 4]), words([1, 2, 3, 4]), 4), refusal);
  assert.equal(contents(map).size, 3);
  assert.throws(() => map.update(word(9), word(9)), refusal);
});

test('a key or value of a wrong length never reaches the kernel', () => {
  using map = open(MAP_TYPE.hash, 4);
  const wrong = { code: 'BUG', message: /bytes where 4 are due/ };
  assert.throws(() => map.lookup(Buffer.alloc(3)), wrong);
  assert.throws(() => map.update(word(1), Buffer.alloc(5)), wrong);
  assert.throws(() => map.delete(Buffer.alloc(8)), wrong);
  assert.throws(() => map.updateBatch(words([1, 2]), word(1), 2), { code: 'BUG' });
});

const KINDS = [
  { name: 'a hash', type: MAP_TYPE.hash, flags: 0 },
  { name: 'a hash without preallocation', type: MAP_TYPE.hash, flags: MAP_FLAG.noPrealloc },
];

for (const { name, type, flags } of KINDS) {
  test(`batches over ${name} equal a plain Map, however often they cross the batch size`, () => {
    const anyWrites = fc.uniqueArray(fc.integer({ min: 0, max: 5000 }), { maxLength: 3000, size: 'max' });
    const property = fc.property(anyWrites, anyWrites, (added, removed) => {
      using map = open(type, 6000, flags);
      const model = new Map(added.map((key) => [key, key ^ 0xffff]));
      map.updateBatch(words(model.keys()), words(model.values()), model.size);
      assert.deepEqual(contents(map), model);
      map.deleteBatch(words(removed), removed.length);
      for (const key of removed) model.delete(key);
      assert.deepEqual(contents(map), model);
    });
    fc.assert(property, { numRuns: 15 });
  });
}

test('a type without batches is written, read and emptied one by one', () => {
  using map = open(DEVMAP_HASH, 64);
  const keys = Array.from({ length: 50 }, (_, i) => i * 3);
  map.updateBatch(words(keys), words(keys.map(() => 1)), keys.length);
  assert.deepEqual(
    [...contents(map).keys()].sort((a, b) => a - b),
    keys,
  );
  for (const key of map.keys()) map.delete(key);
  assert.equal(contents(map).size, 0);
  map.updateBatch(words([1, 2]), words([1, 1]), 2);
  map.deleteBatch(words([2, 7]), 2);
  assert.deepEqual([...contents(map).keys()], [1]);
});

test('everything may be deleted while it is being read', () => {
  using map = open(MAP_TYPE.hash, 5000);
  const keys = Array.from({ length: 5000 }, (_, i) => i);
  map.updateBatch(words(keys), words(keys), keys.length);
  let seen = 0;
  for (const key of map.keys()) {
    seen += 1;
    map.delete(key);
  }
  assert.equal(seen, 5000);
  assert.equal(contents(map).size, 0);
});

test('an LPM trie answers with the longest prefix, in batches too', () => {
  const shape = { type: MAP_TYPE.lpmTrie, name: uniqueName(), keySize: 8, valueSize: 4, maxEntries: 3000 };
  const map = BpfMap.create({ ...shape, flags: MAP_FLAG.noPrealloc });
  const key = (length: number, ...bytes: number[]): Buffer => Buffer.from([length, 0, 0, 0, ...bytes]);
  const hosts = Array.from({ length: 2000 }, (_, i) => key(32, 10, 1, i >> 8, i & 255));
  map.updateBatch(Buffer.concat(hosts), words(hosts.keys()), hosts.length);
  map.update(key(8, 10, 0, 0, 0), word(8888));
  assert.deepEqual(map.lookup(key(32, 10, 1, 4, 7)), word(4 * 256 + 7));
  assert.deepEqual(map.lookup(key(32, 10, 2, 4, 7)), word(8888));
  assert.equal(map.lookup(key(32, 11, 2, 4, 7)), undefined);
  assert.equal([...map.keys()].length, 2001);
  map.deleteBatch(Buffer.concat(hosts), hosts.length);
  assert.equal([...map.keys()].length, 1);
  map.close();
});

test('an array is full from the start and cannot lose an entry', () => {
  using map = open(MAP_TYPE.array, 1500);
  map.updateBatch(words([0, 1499]), words([5, 6]), 2);
  const found = contents(map);
  assert.equal(found.size, 1500);
  assert.deepEqual([found.get(0), found.get(7), found.get(1499)], [5, 0, 6]);
  assert.throws(() => map.delete(word(0)), { errno: 'EINVAL' });
});

test('a per-CPU value has one padded copy for every possible CPU', () => {
  using map = open(MAP_TYPE.percpuArray, 4);
  assert.ok(possibleCpus() >= 1);
  assert.equal(map.valueSpan, 8 * possibleCpus());
  const value = Buffer.alloc(map.valueSpan);
  for (let cpu = 0; cpu < possibleCpus(); cpu += 1) value.writeUInt32LE(cpu + 100, cpu * 8);
  map.update(word(2), value);
  assert.deepEqual(map.lookup(word(2)), value);
  const read = [...map.entries()].find(({ key }) => key.readUInt32LE() === 2);
  assert.deepEqual(read?.value, value);
  assert.throws(() => map.update(word(2), word(1)), { code: 'BUG' });
});

test('a pinned map outlives its descriptor and comes back with its shape', () => {
  using folder = scratchBpffs();
  const path = `${folder.path}/deep/down/map`;
  const map = BpfMap.create({
    type: MAP_TYPE.hash,
    name: 'weir_pin_test',
    keySize: 4,
    valueSize: 8,
    maxEntries: 9,
  });
  map.update(word(1), Buffer.alloc(8, 7));
  map.pin(path);
  assert.throws(() => map.pin(path), { errno: 'EEXIST' });
  map.close();
  const again = BpfMap.openPinned(path);
  assert.deepEqual(again?.lookup(word(1)), Buffer.alloc(8, 7));
  const { name, type, keySize, valueSize, maxEntries } = again;
  assert.deepEqual([name, type, keySize, valueSize, maxEntries], ['weir_pin_test', MAP_TYPE.hash, 4, 8, 9]);
  again.close();
  assert.throws(() => openPinnedProgram(path), { code: 'PIN_OF_ANOTHER_KIND' });
  unpin(path);
  unpin(path);
  assert.equal(BpfMap.openPinned(path), undefined);
});

test('a map that cannot be is refused by name', () => {
  const shape = { type: MAP_TYPE.hash, name: 'weir_nothing', keySize: 0, valueSize: 4, maxEntries: 1 };
  assert.throws(() => BpfMap.create(shape), { errno: 'EINVAL', message: /^create map weir_nothing: EINVAL/ });
});

test('a closed descriptor is an error, not a crash', () => {
  const map = BpfMap.create({
    type: MAP_TYPE.hash,
    name: 'weir_closed',
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
  });
  closeSync(map.fd);
  assert.throws(() => map.lookup(word(1)), { errno: 'EBADF' });
});

test('batches are probed for, so that their absence on this kernel would be known', () => {
  assert.equal(hasFeature('hash batch'), true);
});
