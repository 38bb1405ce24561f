import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { after, test } from 'node:test';
import { DropReason, PolicyDirection } from '../../bpf/index.ts';
import { attachClsact, BpfObject } from '../../kernel/index.ts';
import { db, web } from '../support/cast.ts';
import { compile } from '../kernel/scratch.ts';
import { Rig } from './rig.ts';

/** Puts a VLAN tag beside the frame, as a container with a VLAN device does. BPF_PROG_TEST_RUN cannot. */
const TAG = `
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
char _license[] SEC("license") = "Dual BSD/GPL";
SEC("tc") int tag(struct __sk_buff *skb) { return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 5) ? 2 : 0; }
`;

const rig = new Rig();
after(() => rig.close());

function ip(...words: string[]): void {
  const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${words.join(' ')}: ${stderr}`);
}

async function send(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.send('longer than the headers of a segment', 9, db.ip, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

function dropped(): bigint {
  return rig.metric(DropReason.DROP_VLAN, PolicyDirection.DIRECTION_EGRESS).packets;
}

test('a tagged frame is refused on its way out, even in the middle of a connection', async () => {
  const inside = `${web.name}-c`;
  await rig.attach('from_container', web.name);
  ip('address', 'add', `${web.ip}/32`, 'dev', inside);
  ip('neighbour', 'add', db.ip, 'lladdr', web.gatewayMac, 'dev', inside);
  ip('route', 'add', `${db.ip}/32`, 'dev', inside);
  const object = BpfObject.load(compile(TAG), { name: 'tag' });
  const socket = createSocket('udp4').unref();
  await send(socket);
  assert.equal(dropped(), 0n, 'an untagged frame is not');
  attachClsact(object.program('tag'), rig.ifindex(inside), 'egress');
  await send(socket);
  assert.equal(dropped(), 1n);
  object.close();
});
