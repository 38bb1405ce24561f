/** The datapath and its host: uplinks that come, change and go, what others do to it, its memory, its end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tearDownHost } from '../../datapath/index.ts';
import type { Datapath } from '../../datapath/index.ts';
import {
  attachClsact,
  attachTcx,
  BpfMap,
  BpfObject,
  closeFd,
  hasFeature,
  isKernelAtLeast,
  Netlink,
  programId,
  readSysctl,
  writeSysctl,
} from '../../kernel/index.ts';
import { parsePolicy } from '../../policy/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { needs } from '../support/needs.ts';
import * as rig from './datapath-rig.ts';
import { compile, scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const netlink = Netlink.open();
const RESERVED_PORTS = 'net.ipv4.ip_local_reserved_ports';

/** A device with an address and the default route; its index. */
function plugIn(address = '192.0.2.7'): number {
  const macs = { mac: '02:77:00:00:00:01', peerMac: '02:77:00:00:00:02' };
  const { index, peerIndex } = netlink.createVeth({ name: 'nic0', peer: 'nic0-far', mtu: 1400, ...macs });
  netlink.setLinkUp(index);
  netlink.setLinkUp(peerIndex);
  netlink.addAddress(index, `${address}/24`);
  netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: '192.0.2.1' });
  return index;
}

function uplinkOf({ object }: Datapath): unknown {
  const [entry, ...more] = [...object.maps.uplink.entries()];
  assert.deepEqual(more, []);
  return entry && { ifindex: entry[0], address: entry[1].ip4, default: object.maps.config.get(0)?.uplink };
}

test('an uplink is found when it comes, followed when its address changes, found again when it is made anew', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  assert.equal(uplinkOf(datapath), undefined);
  const made = await datapath.createEndpoint(rig.specOf(1));
  assert.equal(netlink.link(made.hostInterface)?.mtu, 1500);
  const index = plugIn();
  const is = (ifindex: number, address: string) => (): boolean =>
    JSON.stringify(uplinkOf(datapath)) === JSON.stringify({ ifindex, address, default: ifindex });
  await rig.until('uplink', is(index, '192.0.2.7'));
  assert.equal(rig.inForce(bpffs.path, 'nic0', 'ingress')?.ifindex, index);
  await datapath.createEndpoint(rig.specOf(2));
  assert.equal(netlink.link('weir2')?.mtu, 1400);
  netlink.deleteAddress(index, '192.0.2.7/24');
  netlink.addAddress(index, '192.0.2.99/24');
  netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: '192.0.2.1' });
  await rig.until('new address', is(index, '192.0.2.99'));
  const hostAddresses = (): string[] => datapath.ipcache.sources.host;
  assert.ok(hostAddresses().includes('192.0.2.99') && !hostAddresses().includes('192.0.2.7'));
  await netlink.deleteLink(index);
  const again = plugIn();
  await rig.until('new device', is(again, '192.0.2.7'));
  assert.deepEqual(rig.inForce(bpffs.path, 'nic0', 'ingress'), {
    ifindex: again,
    programId: programId(datapath.object.program('from_uplink')),
  });
  await netlink.deleteLink(again);
  await rig.until('gone', () => datapath.uplinks.current.length === 0);
  assert.equal(uplinkOf(datapath), undefined);
  assert.ok(!existsSync(join(bpffs.path, 'weir', 'links', 'nic0-ingress')));
  for (const index of [1, 2]) await datapath.removeEndpoint(`endpoint-${index}`);
  await datapath.close();
});

/** Programs of somebody else that count what they are asked about, as a link and as a filter. */
const FOREIGN = `
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 3); __type(key, __u32); __type(value, __u64); } asked SEC(".maps");
char _license[] SEC("license") = "GPL";
static int count(__u32 key)
{
	__u64 *number = bpf_map_lookup_elem(&asked, &key);

	if (number)
		__sync_fetch_and_add(number, 1);
	return -1;
}
SEC("tc") int former(struct __sk_buff *skb) { return count(0); }
SEC("tc") int later(struct __sk_buff *skb) { return count(1); }
SEC("tc") int filter(struct __sk_buff *skb) { return count(2); }`;

test(
  'programs of others at the uplink have their turn, whether they came before or after',
  needs('tcx'),
  async () => {
    using bpffs = scratchBpffs();
    const index = plugIn();
    const foreign = BpfObject.load(compile(FOREIGN), { name: 'foreign' });
    const former = attachTcx(foreign.program('former'), index, 'ingress');
    const datapath = await rig.startDatapath(bpffs.path);
    assert.equal(rig.inForce(bpffs.path, 'nic0', 'ingress')?.ifindex, index);
    attachClsact(foreign.program('filter'), index, 'ingress');
    const later = attachTcx(foreign.program('later'), index, 'ingress');
    const asked = (key: number): bigint =>
      foreign
        .map('asked')
        .lookup(Buffer.from([key, 0, 0, 0]))
        ?.readBigUInt64LE() ?? 0n;
    const far = netlink.link('nic0-far')!.index;
    netlink.addAddress(far, '198.51.100.1/24');
    writeSysctl('net.ipv4.conf.nic0-far.arp_notify', '1');
    const before = [0, 1, 2].map(asked);
    netlink.setLinkDown(far);
    netlink.setLinkUp(far); // and says so, by ARP
    await rig.until('all are asked', () => [0, 1, 2].every((key) => asked(key) > (before[key] ?? 0n)));
    for (const fd of [former, later]) closeFd(fd);
    foreign.close();
    await datapath.close();
    await netlink.deleteLink(index);
  },
);

test('an uplink with a dot in its name, which is then renamed, keeps its program', async () => {
  using bpffs = scratchBpffs();
  const index = plugIn();
  netlink.setLinkDown(index);
  netlink.rename(index, 'nic0.100');
  netlink.setLinkUp(index);
  netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: '192.0.2.1' });
  const datapath = await rig.startDatapath(bpffs.path);
  const links = (name: string): string[] => (hasFeature('tcx') ? [name] : []);
  assert.deepEqual(datapath.object.attached(), links('nic0.100'));
  netlink.setLinkDown(index);
  netlink.rename(index, 'wan0');
  netlink.setLinkUp(index);
  netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: '192.0.2.1' });
  await rig.until('the new name', () => datapath.uplinks.current[0]?.name === 'wan0');
  await sleep(300);
  assert.equal(rig.inForce(bpffs.path, 'wan0', 'ingress')?.ifindex, index);
  assert.deepEqual(datapath.object.attached(), links('wan0'));
  await datapath.close();
  await netlink.deleteLink(index);
});

test('other masquerade ports after a restart: the former are free again', async () => {
  using bpffs = scratchBpffs();
  writeSysctl(RESERVED_PORTS, '22');
  await (await rig.startDatapath(bpffs.path, { masqueradePorts: { first: 50000, last: 50999 } })).close();
  assert.equal(readSysctl(RESERVED_PORTS), '22,50000-50999');
  await (await rig.startDatapath(bpffs.path)).close();
  assert.equal(readSysctl(RESERVED_PORTS), '22,61000-65535');
  writeSysctl(RESERVED_PORTS, '\n');
});

test('on a kernel without tcx programs are filters for good, replaced and taken away like links', async () => {
  using bpffs = scratchBpffs();
  const index = plugIn();
  const open = (): Promise<Datapath> => rig.startDatapath(bpffs.path, { tcx: false });
  const first = await open();
  await rig.populate(first, 1);
  const devices = ['weir1', 'nic0'];
  assert.deepEqual(devices.map(rig.filtersOf), [['from_container', 'to_container'], ['from_uplink']]);
  await first.close();
  const second = rig.openDatapath(bpffs.path, { tcx: false });
  await second.start();
  await second.createEndpoint(rig.specOf(1, 1));
  await second.activateEndpoint('endpoint-1', rig.ownerOf(1));
  await second.commit();
  assert.deepEqual(devices.map(rig.filtersOf), [['from_container', 'to_container'], ['from_uplink']]);
  assert.deepEqual(readdirSync(join(bpffs.path, 'weir', 'links')), []);
  netlink.deleteAddress(index, '192.0.2.7/24');
  netlink.setLinkDown(index);
  await rig.until('no uplink any more', () => uplinkOf(second) === undefined);
  assert.deepEqual(rig.filtersOf('nic0'), []);
  netlink.setLinkUp(index);
  netlink.addAddress(index, '192.0.2.7/24');
  await rig.until('an uplink again', () => rig.filtersOf('nic0').length === 1);
  await second.removeEndpoint('endpoint-1');
  await second.close();
  await tearDownHost(netlink);
  assert.deepEqual(rig.filtersOf('nic0'), []);
  await netlink.deleteLink(index);
});

test('what others take away of it is put back', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  await rig.populate(datapath, 2);
  await sleep(300); // its own changes are seen too
  const before = rig.network(netlink);
  for (const route of netlink.routes(210)) netlink.deleteRoute(route);
  for (const family of [4, 6] as const) netlink.deleteRule({ family, priority: 32_000, table: 210 });
  await rig.until('routes and rule', () => JSON.stringify(rig.network(netlink)) === JSON.stringify(before));
  netlink.setLinkDown(netlink.link('weir1')!.index);
  await rig.until('an open device', () => JSON.stringify(rig.network(netlink)) === JSON.stringify(before));
  await netlink.deleteLink(netlink.link('weir0')!.index);
  await rig.until('weir0', () => netlink.addresses().some(({ address }) => address === rig.NODE));
  const { addresses, ifindex } = datapath.endpoints.get('endpoint-1')!;
  const isReached = (): boolean =>
    addresses.every((address, at) => {
      const route = netlink.routeTo(address);
      return route?.ifindex === ifindex && route.source === [rig.NODE, rig.NODE6][at];
    });
  await rig.until('routes that name its address', isReached);
  for (const index of [1, 2]) await datapath.removeEndpoint(`endpoint-${index}`);
  await datapath.close();
});

test('a second agent is refused before it touches anything', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  await rig.populate(datapath, 1);
  const before = { network: rig.network(netlink), config: datapath.object.maps.config.get(0) };
  assert.throws(() => rig.openDatapath(bpffs.path), {
    code: 'DATAPATH_IN_USE',
    message: new RegExp(bpffs.path),
  });
  assert.deepEqual({ network: rig.network(netlink), config: datapath.object.maps.config.get(0) }, before);
  await datapath.removeEndpoint('endpoint-1');
  await datapath.close();
  await rig.openDatapath(bpffs.path).close();
});

test('all maps with ten thousand policy entries hold at most 32 MB of the kernel', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  await rig.populate(datapath, 2);
  const ports = Array.from({ length: 10_000 }, (_, index) => ({
    port: String(10_001 + 2 * index),
    protocol: 'TCP',
  }));
  const rule = { endpointSelector: { matchLabels: { id: '256' } }, ingress: [{ toPorts: [{ ports }] }] };
  datapath.enforcement.apply(parsePolicy(JSON.stringify([rule]), 'policy.json'));
  assert.ok(datapath.policyMap.size > 10_000);
  const folder = join(bpffs.path, 'weir', 'maps');
  const sizes = readdirSync(folder).map((name) => {
    const map = BpfMap.openPinned(join(folder, name))!;
    const info = readFileSync(`/proc/self/fdinfo/${map.fd}`, 'utf8');
    map.close();
    return Number(/^memlock:\s*(\d+)$/m.exec(info)?.[1]);
  });
  const total = sizes.reduce((sum, size) => sum + size, 0);
  // up to 5.10 the figure has what the kernel adds to each entry
  const most = (isKernelAtLeast('5.11') ? 32 : 36) * 2 ** 20;
  assert.ok(total > 2 ** 20 && total <= most, `${total} bytes`);
  for (const index of [1, 2]) await datapath.removeEndpoint(`endpoint-${index}`);
  await datapath.close();
});

/** `weir cleanup` for a datapath, with folders of its own. */
function cleanUp(bpffs: string, folder: string): { status: number | null; stderr: string } {
  const main = fileURLToPath(new URL('../../agent/cleanup-main.js', import.meta.url));
  const places = ['--state-dir', join(folder, 'state'), '--run-dir', join(folder, 'run')];
  const socket = ['--plugin-socket', join(folder, 'plugin.sock')];
  const command = [main, 'cleanup', '--bpffs', bpffs, ...places, ...socket];
  const { status, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return { status, stderr };
}

test('cleanup leaves the host as it was, what others reserved included; not while an agent runs', async () => {
  using bpffs = scratchBpffs();
  const folder = mkdtempSync(join(tmpdir(), 'weir-cleanup-'));
  const done = { status: 0, stderr: '' };
  assert.deepEqual(cleanUp(bpffs.path, folder), done, 'what the tests before have left');
  writeSysctl(RESERVED_PORTS, '22,60999');
  const index = plugIn();
  const before = rig.network(netlink);
  const datapath = await rig.startDatapath(bpffs.path);
  await rig.populate(datapath, 3);
  assert.equal(readSysctl(RESERVED_PORTS), '22,60999-65535');
  const refused = cleanUp(bpffs.path, folder);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /an agent has the datapath/);
  assert.ok(netlink.link('weir1'));
  await datapath.close();
  assert.deepEqual(cleanUp(bpffs.path, folder), done);
  assert.deepEqual(rig.network(netlink), before);
  assert.equal(readSysctl(RESERVED_PORTS), '22,60999');
  assert.ok(!existsSync(join(bpffs.path, 'weir')));
  assert.deepEqual(cleanUp(bpffs.path, folder), done);
  await netlink.deleteLink(index);
  rmSync(folder, { recursive: true });
});
