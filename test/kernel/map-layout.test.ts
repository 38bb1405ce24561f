/** What the kernel says of the fields of its maps, and how entries pass from one layout to another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversion } from '../../bpf/index.ts';
import { BpfObject, mapLayout, possibleCpus } from '../../kernel/index.ts';
import { compile, scratchBpffs } from './scratch.ts';

interface Version {
  /** Fields of the key and of the value, in C. */
  key: string;
  value: string;
  type?: string;
}

const MAP = 'weir_seen';

function version({ key, value, type = 'HASH' }: Version): Buffer {
  const keyType = type === 'PERCPU_ARRAY' ? '__u32' : 'struct key';
  return compile(`
struct addr { __u32 word[4]; };
struct end { __u8 mac[6]; __be16 port; };
struct key { ${key} };
struct value { ${value} };
struct {
  __uint(type, BPF_MAP_TYPE_${type});
  __uint(max_entries, 8);
  __type(key, ${keyType});
  __type(value, struct value);
} ${MAP} SEC(".maps");
SEC("tc") int look(struct __sk_buff *skb) {
  __u64 key[8] = {};
  return bpf_map_lookup_elem(&${MAP}, &key) != 0;
}
char _license[] SEC("license") = "GPL";
`);
}

function load(of: Version, pins: Record<string, string> = {}): BpfObject {
  return BpfObject.load(version(of), { name: 'version', mapPins: pins });
}

/** Loads both, and hands over their maps. */
function withBoth(
  former: Version,
  next: Version,
  check: (...maps: ReturnType<BpfObject['map']>[]) => void,
): void {
  const objects = [load(former), load(next)];
  try {
    check(...objects.map((object) => object.map(MAP)));
  } finally {
    for (const object of objects) object.close();
  }
}

const PLAIN = { key: '__u32 id;', value: '__u32 a; __u32 b;' };

test('fields are told with name, type and place, structs within structs by theirs', () => {
  const object = load({
    key: '__be16 port; __u16 unused;',
    value: 'struct addr a; struct end low; __u64 at;',
  });
  assert.deepEqual(mapLayout(object.map(MAP).fd), {
    key: [
      { path: 'port', type: '__be16', offset: 0, size: 2 },
      { path: 'unused', type: '__u16', offset: 2, size: 2 },
    ],
    value: [
      { path: 'a.word', type: '__u32[4]', offset: 0, size: 16 },
      { path: 'low.mac', type: '__u8[6]', offset: 16, size: 6 },
      { path: 'low.port', type: '__be16', offset: 22, size: 2 },
      { path: 'at', type: '__u64', offset: 24, size: 8 },
    ],
  });
  object.close();
});

for (const [name, other, message] of [
  ['in another order', { ...PLAIN, value: '__u32 b; __u32 a;' }, /weir_seen.*: value\.b; value\.a/],
  ['under another name', { ...PLAIN, key: '__u32 number;' }, /weir_seen.*: key\.number/],
  ['of another type', { ...PLAIN, value: '__u32 a; __be32 b;' }, /weir_seen.*: value\.b/],
] as const)
  test(`a pinned map of the same size with fields ${name} is refused, the same is taken`, () => {
    using folder = scratchBpffs();
    const pins = { [MAP]: `${folder.path}/seen` };
    load(PLAIN, pins).close();
    load(PLAIN, pins).close();
    assert.throws(() => load(other, pins), { code: 'MAP_INCOMPATIBLE', message });
  });

test('what both call by one name is carried over, wherever it is; the rest is zero', () => {
  const former = { key: '__u16 unused; __be16 port;', value: '__u32 gone; struct end low; __u8 flags;' };
  const next = { key: '__be16 port; __u16 unused;', value: '__u8 flags; __u64 fresh; struct end low;' };
  withBoth(former, next, (from, to) => {
    from.update(Buffer.from('ffff1234', 'hex'), Buffer.from('77777777a1a2a3a4a5a6abcd99000000', 'hex'));
    Conversion.between(from, to)!.run({ onlyNew: false });
    const value = to.lookup(Buffer.from('1234ffff', 'hex'));
    assert.equal(value?.toString('hex'), `99${'00'.repeat(15)}a1a2a3a4a5a6abcd`);
  });
});

test('what is there already stays where only new entries are wanted', () => {
  withBoth(PLAIN, { ...PLAIN, value: '__u32 b; __u32 a;' }, (from, to) => {
    const [one, two] = [Buffer.from('01000000', 'hex'), Buffer.from('02000000', 'hex')];
    for (const key of [one, two]) from.update(key, Buffer.from('aaaaaaaabbbbbbbb', 'hex'));
    to.update(one, Buffer.alloc(8, 7));
    assert.equal(Conversion.between(from, to)!.run({ onlyNew: true }), 2);
    assert.equal(to.lookup(one)?.toString('hex'), '07'.repeat(8));
    assert.equal(to.lookup(two)?.toString('hex'), 'bbbbbbbbaaaaaaaa');
  });
});

test('what is there already gives place to what ends later: its flow still goes by the old map', () => {
  const former = { ...PLAIN, value: '__u32 expires; __u32 a;' };
  const id = (number: number): Buffer => Buffer.from(Uint32Array.of(number).buffer);
  const flow = (...words: number[]): Buffer => Buffer.from(Uint32Array.from(words).buffer);
  withBoth(former, { ...PLAIN, value: '__u64 fresh; __u32 a; __u32 expires;' }, (from, to) => {
    for (const [number, old, there] of [
      [1, 200, 100],
      [2, 100, 200],
      [3, 100, 100],
    ] as const) {
      from.update(id(number), flow(old, 7));
      to.update(id(number), flow(1, 1, 9, there));
    }
    Conversion.between(from, to)!.run({ onlyNew: true });
    const words = (number: number): number[] => [
      ...new Uint32Array(new Uint8Array(to.lookup(id(number))!).buffer),
    ];
    assert.deepEqual(words(1), [0, 0, 7, 200]);
    assert.deepEqual(words(2), [1, 1, 9, 200]);
    assert.deepEqual(words(3), [1, 1, 9, 100]);
  });
});

test('entries whose key would lack something, or of another kind of map, say nothing', () => {
  const narrow = { ...PLAIN, key: '__u32 id; __u32 unused;' };
  withBoth(PLAIN, { ...PLAIN, key: '__u32 id; __u32 zone;' }, (from, to) =>
    assert.equal(Conversion.between(from, to), undefined),
  );
  withBoth(PLAIN, narrow, (from, to) => assert.ok(Conversion.between(from, to)));
  withBoth(PLAIN, { ...PLAIN, type: 'LRU_HASH' }, (from, to) =>
    assert.equal(Conversion.between(from, to), undefined),
  );
});

test('a key may have a new field where there was filler', () => {
  const former = { ...PLAIN, key: '__u32 id; __u8 unused[4];' };
  withBoth(former, { ...PLAIN, key: '__u32 id; __u8 unused[2]; __u8 kind; __u8 more;' }, (from, to) => {
    from.update(Buffer.from('0500000000000000', 'hex'), Buffer.alloc(8, 1));
    Conversion.between(from, to)!.run({ onlyNew: false });
    assert.ok(to.lookup(Buffer.from('0500000000000000', 'hex')));
  });
});

test('every CPU keeps its own copy', () => {
  const type = 'PERCPU_ARRAY';
  withBoth(
    { key: '', value: '__u32 a;', type },
    { key: '', value: '__u64 fresh; __u32 a;', type },
    (from, to) => {
      const cpus = Array.from({ length: possibleCpus() }, (_, cpu) => cpu);
      const former = Buffer.alloc(8 * cpus.length);
      for (const cpu of cpus) former.writeUInt32LE(100 + cpu, cpu * 8);
      from.update(Buffer.alloc(4), former);
      Conversion.between(from, to)!.run({ onlyNew: false });
      const value = to.lookup(Buffer.alloc(4))!;
      assert.deepEqual(
        cpus.map((cpu) => value.readUInt32LE(cpu * 16 + 8)),
        cpus.map((cpu) => 100 + cpu),
      );
    },
  );
});
