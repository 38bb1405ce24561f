import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BpfMap,
  BpfObject,
  openPinnedProgram,
  pinObject,
  testRun,
  VerifierError,
} from '../../kernel/index.ts';
import { needsLinux } from '../support/needs.ts';
import { compile, scratchBpffs } from './scratch.ts';

/** The interface that a packet came in by can be given to a test run. */
const INGRESS = needsLinux('5.15', 'ingress_ifindex of a test run');

const COUNTER = compile(`
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, __u64);
} weir_seen SEC(".maps");

SEC("tc") int count(struct __sk_buff *skb) {
  __u32 key = skb->mark;
  __u64 *seen = bpf_map_lookup_elem(&weir_seen, &key), one = 1;
  if (seen) __sync_fetch_and_add(seen, 1);
  else bpf_map_update_elem(&weir_seen, &key, &one, 0);
  skb->mark += 1;
  return 3;
}
SEC("tc") int shrink(struct __sk_buff *skb) {
  bpf_skb_change_tail(skb, 32, 0);
  return skb->ifindex == 1 ? 7 : 8;
}
char _license[] SEC("license") = "GPL";
`);

const REFUSED = compile(`
SEC("tc") int fine(struct __sk_buff *skb) { return 0; }
SEC("tc") int careless(struct __sk_buff *skb) { return *(__u8 *)(long)skb->data; }
char _license[] SEC("license") = "GPL";
`);

function key(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const frame = Buffer.alloc(60, 0x5a);

test('a program runs on a packet, sees its context and leaves its marks', () => {
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  const result = testRun(object.program('count'), { data: frame, context: { mark: 41 } });
  assert.equal(result.retval, 3);
  assert.equal(result.mark, 42);
  assert.deepEqual(result.data, frame);
  assert.equal(object.map('weir_seen').lookup(key(41))?.readBigUInt64LE(), 1n);
  object.close();
});

test('the changed packet comes back, and the interface in the context is seen', INGRESS, () => {
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  const inside = testRun(object.program('shrink'), {
    data: frame,
    context: { ifindex: 1, ingressIfindex: 1 },
  });
  assert.equal(inside.retval, 7);
  assert.equal(inside.data.length, 32);
  object.close();
});

test('a repeated run is counted and timed', () => {
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  const { durationNs, mark } = testRun(object.program('count'), { data: frame, repeat: 10 });
  assert.ok(durationNs > 0);
  assert.equal(mark, 10);
  assert.equal([...object.map('weir_seen').keys()].length, 10);
  object.close();
});

test('what is no packet, and an interface that is none, are refused', () => {
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  const program = object.program('count');
  assert.throws(() => testRun(program, { data: Buffer.alloc(5) }), {
    errno: 'EINVAL',
    message: /5 byte frame/,
  });
  assert.throws(() => testRun(program, { data: frame, context: { ifindex: 999999 } }), { errno: 'ENODEV' });
  object.close();
});

test('a pinned map is made once and shared by every later load', () => {
  using folder = scratchBpffs();
  const mapPins = { weir_seen: `${folder.path}/weir/seen` };
  const first = BpfObject.load(COUNTER, { name: 'first', mapPins });
  testRun(first.program('count'), { data: frame, context: { mark: 5 } });
  first.close();
  const second = BpfObject.load(COUNTER, { name: 'second', mapPins });
  testRun(second.program('count'), { data: frame, context: { mark: 5 } });
  assert.equal(second.map('weir_seen').lookup(key(5))?.readBigUInt64LE(), 2n);
  second.close();
});

test('a pinned map of another size is refused with both sizes, and left as it is', () => {
  using folder = scratchBpffs();
  const path = `${folder.path}/seen`;
  const load = (size: number): BpfObject =>
    BpfObject.load(COUNTER, {
      name: 'counter',
      mapPins: { weir_seen: path },
      maxEntries: { weir_seen: size },
    });
  const first = load(32);
  assert.equal(first.map('weir_seen').maxEntries, 32);
  first.map('weir_seen').update(key(1), Buffer.alloc(8));
  first.close();
  assert.throws(() => load(64), { code: 'MAP_INCOMPATIBLE', message: /weir_seen.*maxEntries 64, pinned 32/ });
  const kept = BpfMap.openPinned(path);
  assert.equal([...(kept?.keys() ?? [])].length, 1);
  kept?.close();
});

test('a refused program is named with the verifier’s reason, and nothing is loaded', () => {
  assert.throws(
    () => BpfObject.load(REFUSED, { name: 'refused' }),
    (error: unknown) => {
      assert.ok(error instanceof VerifierError);
      assert.match(error.message, /^load program careless: EACCES \(.*invalid access to packet/);
      assert.match(error.log, /processed \d+ insns/);
      return true;
    },
  );
});

test('bytes that are no object, and names it does not have, are errors', () => {
  assert.throws(
    () => BpfObject.load(Buffer.from('no ELF'), { name: 'nonsense' }),
    /open BPF object nonsense/,
  );
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  assert.throws(() => object.map('nothing'), { code: 'BUG', message: /no map nothing/ });
  assert.throws(() => object.program('nothing'), { code: 'BUG', message: /no program nothing/ });
  object.close();
  const wrong = { name: 'counter', maxEntries: { nothing: 1 } };
  assert.throws(() => BpfObject.load(COUNTER, wrong), { code: 'BUG', message: /no map nothing/ });
});

test('a pinned program still runs when its object is closed', () => {
  using folder = scratchBpffs();
  const path = `${folder.path}/program`;
  const object = BpfObject.load(COUNTER, { name: 'counter' });
  pinObject(object.program('count'), path);
  object.close();
  const program = openPinnedProgram(path);
  assert.ok(program !== undefined);
  assert.equal(testRun(program, { data: frame }).retval, 3);
  assert.equal(openPinnedProgram(`${path}_other`), undefined);
});
