import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  attachClsact,
  attachTcx,
  attachTcxAsync,
  BpfObject,
  closeFd,
  detachClsact,
  detachLink,
  linkTarget,
  openPinnedLink,
  pinObject,
  programId,
  unpin,
  updateLink,
} from '../../kernel/index.ts';
import { needs } from '../support/needs.ts';
import { compile, scratchBpffs, scratchVeth } from './scratch.ts';
import type { Veth } from './scratch.ts';

/** Two programs that count UDP to port 7777 (frames of our own) in a slot each. */
const COUNTERS = compile(`
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} weir_count SEC(".maps");

static int count(struct __sk_buff *skb, __u32 slot) {
  __u8 port[2];
  if (bpf_skb_load_bytes(skb, 14 + 20 + 2, port, 2) || port[0] != 0x1e || port[1] != 0x61) return -1;
  __u64 *seen = bpf_map_lookup_elem(&weir_count, &slot);
  if (seen) __sync_fetch_and_add(seen, 1);
  return -1;
}
SEC("tc") int first(struct __sk_buff *skb) { return count(skb, 0); }
SEC("tc") int second(struct __sk_buff *skb) { return count(skb, 1); }
char _license[] SEC("license") = "GPL";
`);
const PORT = 7777;

const object = BpfObject.load(COUNTERS, { name: 'counters' });
after(() => object.close());

function counts(): [number, number] {
  const read = (slot: number): number =>
    Number(
      object
        .map('weir_count')
        .lookup(Buffer.from([slot, 0, 0, 0]))
        ?.readBigUInt64LE(),
    );
  return [read(0), read(1)];
}

/** Both ends up, with a route through the pair to an address that nobody has. */
function wire({ netlink, index, peerIndex }: Veth): string {
  const target = '198.51.100.77';
  netlink.setLinkUp(peerIndex);
  netlink.setLinkUp(index);
  netlink.addAddress(index, '198.51.100.1/32');
  netlink.addRoute({ destination: `${target}/32`, ifindex: index });
  netlink.addNeighbour({ ifindex: index, address: target, mac: '02:77:65:00:00:02' });
  return target;
}

/** Sends datagrams and returns how far each program's count went up. */
async function countsOf(target: string, datagrams: number): Promise<[number, number]> {
  const before = counts();
  const socket = createSocket('udp4');
  for (let i = 0; i < datagrams; i += 1) {
    await new Promise((sent) => {
      socket.send('weir', PORT, target, sent);
    });
  }
  socket.close();
  await sleep(30);
  const now = counts();
  return [now[0] - before[0], now[1] - before[1]];
}

test(
  'a tcx link sees every packet, is replaced without a gap, and stops when detached',
  needs('tcx'),
  async () => {
    await using veth = scratchVeth();
    const target = wire(veth);
    const link = await attachTcxAsync(object.program('first'), veth.peerIndex, 'ingress');
    assert.deepEqual(await countsOf(target, 5), [5, 0]);
    updateLink(link, object.program('second'));
    assert.deepEqual(linkTarget(link), {
      ifindex: veth.peerIndex,
      programId: programId(object.program('second')),
    });
    assert.deepEqual(await countsOf(target, 5), [0, 5]);
    await detachLink(link);
    assert.deepEqual(await countsOf(target, 5), [0, 0]);
  },
);

test('replacing a program under traffic loses no packet and counts none twice', needs('tcx'), async () => {
  await using veth = scratchVeth();
  const target = wire(veth);
  const link = attachTcx(object.program('first'), veth.index, 'egress');
  const swapping = setInterval(() => {
    updateLink(link, object.program('second'));
    updateLink(link, object.program('first'));
  }, 1);
  const [one, two] = await countsOf(target, 400);
  clearInterval(swapping);
  assert.equal(one + two, 400);
  closeFd(link);
});

test('a pinned link outlives its descriptor; an unpinned one goes with it', needs('tcx'), async () => {
  await using veth = scratchVeth();
  using folder = scratchBpffs();
  const target = wire(veth);
  const path = `${folder.path}/link`;
  const link = attachTcx(object.program('first'), veth.peerIndex, 'ingress');
  pinObject(link, path);
  closeFd(link);
  assert.deepEqual(await countsOf(target, 3), [3, 0]);
  const again = openPinnedLink(path);
  assert.ok(again !== undefined);
  assert.equal(linkTarget(again).ifindex, veth.peerIndex);
  unpin(path);
  closeFd(again);
  assert.deepEqual(await countsOf(target, 3), [0, 0]);
});

test('a link whose interface has gone says so, and detaching it is harmless', needs('tcx'), async () => {
  const veth = scratchVeth();
  const link = attachTcx(object.program('first'), veth.peerIndex, 'ingress');
  await veth[Symbol.asyncDispose]();
  assert.equal(linkTarget(link).ifindex, 0);
  assert.throws(() => updateLink(link, object.program('second')), { errno: 'ENOLINK' });
  await detachLink(link);
});

test('attaching on a worker thread leaves the event loop free', needs('tcx'), async () => {
  await using veth = scratchVeth();
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 1);
  for (let i = 0; i < 5; i += 1) {
    await detachLink(await attachTcxAsync(object.program('first'), veth.index, 'ingress'));
  }
  clearInterval(ticking);
  assert.ok(turns >= 5, `${turns} turns`);
});

test('an interface that is none is refused by its number', needs('tcx'), async () => {
  const refusal = { errno: 'ENODEV', message: /ingress of interface 999999/ };
  assert.throws(() => attachTcx(object.program('first'), 999999, 'ingress'), refusal);
  await assert.rejects(attachTcxAsync(object.program('first'), 999999, 'ingress'), refusal);
});

test('clsact sees every packet, is replaced in its place, and is removed again', async () => {
  await using veth = scratchVeth();
  const target = wire(veth);
  attachClsact(object.program('first'), veth.peerIndex, 'ingress');
  assert.deepEqual(await countsOf(target, 5), [5, 0]);
  attachClsact(object.program('second'), veth.peerIndex, 'ingress');
  attachClsact(object.program('second'), veth.index, 'egress');
  assert.deepEqual(await countsOf(target, 5), [0, 10]);
  detachClsact(veth.peerIndex, 'ingress');
  assert.deepEqual(await countsOf(target, 5), [0, 5]);
  detachClsact(veth.index, 'egress');
  assert.deepEqual(await countsOf(target, 5), [0, 0]);
});

test('removing a filter that is not there is harmless, also from an interface that has gone', async () => {
  await using veth = scratchVeth();
  detachClsact(veth.index, 'ingress');
  attachClsact(object.program('first'), veth.index, 'egress');
  detachClsact(veth.index, 'ingress');
  detachClsact(999999, 'egress');
  const refusal = { errno: 'ENODEV', message: /interface 999999/ };
  assert.throws(() => attachClsact(object.program('first'), 999999, 'ingress'), refusal);
});
