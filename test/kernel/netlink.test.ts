import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Netlink, readSysctl, TABLE, writeSysctl } from '../../kernel/index.ts';
import type { Change } from '../../kernel/index.ts';
import { scratchVeth, uniqueName } from './scratch.ts';

const NEXT = { table: 20990 };

function namesInProc(): Set<string> {
  const lines = readFileSync('/proc/net/dev', 'utf8').matchAll(/^ *([^:\s]+):/gm);
  return new Set(Array.from(lines, ([, name = '']) => name));
}

test('links are those of the host, loopback among them', () => {
  const netlink = Netlink.open();
  const before = namesInProc();
  const found = new Set(netlink.links().map((link) => link.name));
  const after = namesInProc(); // others may make and delete links meanwhile
  for (const name of before) if (after.has(name)) assert.ok(found.has(name), name);
  for (const name of found) assert.ok(before.has(name) || after.has(name), name);
  assert.ok(found.has('lo'));
  assert.deepEqual(netlink.link('lo'), netlink.link(1));
  assert.equal(netlink.link(1)?.loopback, true);
  assert.equal(netlink.link('weir-nowhere'), undefined);
  assert.equal(netlink.link(999999), undefined);
  netlink.close();
});

test('a veth pair is made whole: names, MACs, MTU, both ends down and linked', async () => {
  await using veth = scratchVeth();
  const { netlink, name, peerName, index, peerIndex } = veth;
  const common = { mtu: 1450, up: false, carrier: false, loopback: false, framed: true, kind: 'veth' };
  const host = { index, name, mac: '02:77:65:00:00:01', peerIndex, ...common };
  assert.deepEqual(netlink.link(index), host);
  const peer = { index: peerIndex, name: peerName, mac: '02:77:65:00:00:02', peerIndex: index, ...common };
  assert.deepEqual(netlink.link(peerName), peer);
});

test('a taken name is refused and nothing is made', async () => {
  await using veth = scratchVeth();
  const other = uniqueName();
  const pair = { mac: '02:77:65:00:00:03', peerMac: '02:77:65:00:00:04', mtu: 1500 };
  assert.throws(() => veth.netlink.createVeth({ name: veth.name, peer: other, ...pair }), {
    errno: 'EEXIST',
    message: new RegExp(`create veth ${veth.name}`),
  });
  assert.throws(() => veth.netlink.createVeth({ name: other, peer: veth.name, ...pair }), {
    errno: 'EEXIST',
  });
  assert.equal(veth.netlink.link(other), undefined);
});

test('a link is changed in every respect, and errors carry the kernel’s own sentence', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  const renamed = `${veth.name}r`;
  netlink.rename(index, renamed);
  netlink.setMtu(index, 1400);
  netlink.setMac(index, '02:77:65:00:00:09');
  netlink.setLinkUp(index);
  netlink.setLinkUp(veth.peerIndex);
  const { name, mtu, mac, up, carrier } = netlink.link(index) ?? {};
  assert.deepEqual([name, mtu, mac, up, carrier], [renamed, 1400, '02:77:65:00:00:09', true, true]);
  netlink.setLinkDown(index);
  assert.equal(netlink.link(index)?.up, false);
  assert.throws(() => netlink.setMtu(index, 7), {
    message: /^set MTU 7 of link \d+: EINVAL \(mtu less than/,
  });
  assert.throws(() => netlink.setLinkUp(999999), { errno: 'ENODEV' });
});

test('a host end without link-local addresses gets none when it comes up; the peer does', async () => {
  await using veth = scratchVeth();
  const { netlink, index, peerIndex } = veth;
  netlink.setLinkUp(index);
  netlink.setLinkUp(peerIndex);
  await sleep(50);
  const six = netlink.addresses().filter(({ family }) => family === 6);
  assert.equal(six.filter(({ ifindex }) => ifindex === index).length, 0);
  if (readSysctl('net.ipv6.conf.all.disable_ipv6') === '0') {
    assert.equal(six.filter(({ ifindex, scope }) => ifindex === peerIndex && scope === 'link').length, 1);
  }
});

test('a bridge takes ports and lets them go', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  const bridge = netlink.createBridge({ name: `${veth.name}b`, mac: '02:77:65:00:00:0b', mtu: 1400 });
  assert.equal(netlink.link(bridge)?.kind, 'bridge');
  assert.equal(netlink.link(bridge)?.mac, '02:77:65:00:00:0b');
  netlink.setMaster(index, bridge);
  assert.equal(netlink.link(index)?.master, bridge);
  netlink.setMaster(index, 0);
  assert.equal(netlink.link(index)?.master, undefined);
  await netlink.deleteLink(bridge);
  assert.equal(netlink.link(bridge), undefined);
});

test('deleting one end takes both, leaves the event loop free, and may be repeated', async () => {
  const veth = scratchVeth();
  const { netlink, index, peerIndex } = veth;
  netlink.setLinkUp(index);
  netlink.setLinkUp(peerIndex);
  const deleting = Promise.all([netlink.deleteLink(index), netlink.deleteLink(index)]);
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 1);
  await deleting;
  clearInterval(ticking);
  assert.equal(netlink.link(index), undefined);
  assert.equal(netlink.link(peerIndex), undefined);
  await netlink.deleteLink(index);
  assert.ok(turns > 0);
  netlink.close();
});

test('addresses equal what Node sees', async () => {
  await using veth = scratchVeth();
  const { netlink, index, peerIndex } = veth;
  netlink.setLinkUp(index);
  netlink.setLinkUp(peerIndex);
  netlink.addAddress(index, '198.51.100.9/24');
  netlink.addAddress(index, '198.51.100.10/32');
  netlink.addAddress(index, '2001:db8::9/64');
  // the kernel adds a link-local address of its own some time after the link is up
  const isStable = (address: string): boolean => !address.startsWith('fe80:');
  const own = netlink.addresses().filter((item) => item.ifindex === index && isStable(item.address));
  const seen = (networkInterfaces()[veth.name] ?? []).filter((item) => isStable(item.address));
  assert.deepEqual(
    own.map(({ address, length }) => `${address}/${length}`),
    seen.map(({ cidr }) => cidr),
  );
  assert.equal(own.length, 3);
});

test('addresses of both families come and go, twice without harm', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  netlink.setLinkUp(index);
  const own = (): string[] =>
    netlink
      .addresses()
      .filter(({ ifindex }) => ifindex === index)
      .map(({ address, length, scope }) => `${address}/${length} ${scope}`);
  for (let i = 0; i < 2; i += 1) {
    netlink.addAddress(index, '198.51.100.9/24', { scope: 'link', noPrefixRoute: true });
    netlink.addAddress(index, '2001:db8::9/128');
  }
  assert.deepEqual(own(), ['198.51.100.9/24 link', '2001:db8::9/128 global']);
  assert.deepEqual(
    netlink.routes(TABLE.main).filter((route) => route.ifindex === index && route.family === 4),
    [],
  );
  for (let i = 0; i < 2; i += 1) {
    netlink.deleteAddress(index, '198.51.100.9/24');
    netlink.deleteAddress(index, '2001:db8::9/128');
  }
  assert.deepEqual(own(), []);
  assert.throws(() => netlink.addAddress(999999, '198.51.100.9/24'), { errno: 'ENODEV' });
});

test('routes of a table are added, replaced, found and deleted', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  netlink.setLinkUp(index);
  netlink.addAddress(index, '198.51.100.9/32');
  const host = { destination: '198.51.100.10/32', ifindex: index, ...NEXT };
  netlink.addRoute(host);
  netlink.addRoute({ ...host, source: '198.51.100.9' });
  netlink.addRoute({
    destination: '203.0.113.0/24',
    ifindex: index,
    gateway: '169.254.77.1',
    onlink: true,
    ...NEXT,
  });
  netlink.addRoute({ destination: '0.0.0.0/0', type: 'unreachable', ...NEXT });
  netlink.addRoute({ destination: '2001:db8:7::/64', ifindex: index, metric: 77, ...NEXT });
  const base = { family: 4, table: NEXT.table, type: 'unicast', protocol: 4, ifindex: index };
  assert.deepEqual(netlink.routes(NEXT.table), [
    {
      family: 4,
      destination: '0.0.0.0/0',
      table: NEXT.table,
      type: 'unreachable',
      scope: 'global',
      protocol: 4,
    },
    { ...base, destination: '198.51.100.10/32', scope: 'link', source: '198.51.100.9' },
    { ...base, destination: '203.0.113.0/24', scope: 'global', gateway: '169.254.77.1' },
    { ...base, family: 6, destination: '2001:db8:7::/64', scope: 'global', metric: 77 },
  ]);
  for (const route of netlink.routes(NEXT.table)) netlink.deleteRoute(route);
  assert.deepEqual(netlink.routes(NEXT.table), []);
  netlink.deleteRoute(host);
});

test('the route to an address names interface and source; an unreachable one has none', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  netlink.setLinkUp(index);
  netlink.addAddress(index, '198.51.100.9/32');
  netlink.addRoute({ destination: '203.0.113.0/25', ifindex: index });
  netlink.addRoute({ destination: '203.0.113.128/25', type: 'blackhole' });
  const { ifindex, source } = netlink.routeTo('203.0.113.5') ?? {};
  assert.deepEqual({ ifindex, source }, { ifindex: index, source: '198.51.100.9' });
  assert.equal(netlink.routeTo('203.0.113.200'), undefined);
  netlink.deleteRoute({ destination: '203.0.113.128/25' });
});

test('rules come and go, twice without harm, in both families', () => {
  const netlink = Netlink.open();
  const four = {
    priority: 20990,
    to: '198.51.100.0/24',
    from: '203.0.113.0/24',
    mark: 0x77,
    mask: 0xff,
    ...NEXT,
  };
  const six = { priority: 20990, to: '2001:db8::/32', ...NEXT };
  const mine = (family: 4 | 6): object[] => netlink.rules(family).filter(({ table }) => table === NEXT.table);
  for (let i = 0; i < 2; i += 1) {
    netlink.addRule(four);
    netlink.addRule(six);
  }
  assert.deepEqual(mine(4), [{ family: 4, ...four }]);
  assert.deepEqual(mine(6), [{ family: 6, ...six }]);
  for (let i = 0; i < 2; i += 1) {
    netlink.deleteRule(four);
    netlink.deleteRule(six);
  }
  assert.deepEqual([...mine(4), ...mine(6)], []);
  netlink.close();
});

test('a neighbour is permanent, is replaced, and goes', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  netlink.setLinkUp(index);
  const mine = (): object[] =>
    netlink.neighbours().filter((entry) => entry.ifindex === index && entry.family === 4);
  const at = { ifindex: index, address: '198.51.100.10' };
  netlink.addNeighbour({ ...at, mac: '02:77:65:00:00:01' });
  netlink.addNeighbour({ ...at, mac: '02:77:65:00:00:02' });
  assert.deepEqual(mine(), [{ ...at, family: 4, mac: '02:77:65:00:00:02', permanent: true }]);
  netlink.deleteNeighbour(at);
  netlink.deleteNeighbour(at);
  assert.deepEqual(mine(), []);
});

test('changes are told by kind, and no more after disposal', async () => {
  await using veth = scratchVeth();
  const { netlink, index } = veth;
  const seen = new Set<Change>();
  const watch = netlink.watch((what) => seen.add(what));
  netlink.setLinkUp(index);
  netlink.addAddress(index, '198.51.100.9/24');
  await sleep(50);
  assert.deepEqual(seen, new Set(['link', 'address', 'route']));
  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  seen.clear();
  netlink.setLinkDown(index);
  await sleep(50);
  assert.equal(seen.size, 0);
});

test('many requests and deletions leave no descriptor behind, and a closed door says so', async () => {
  await using veth = scratchVeth();
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let i = 0; i < 500; i += 1) {
    assert.equal(veth.netlink.link(veth.index)?.name, veth.name);
    assert.equal(veth.netlink.link('weir-nowhere'), undefined);
  }
  await Promise.all(Array.from({ length: 50 }, () => veth.netlink.deleteLink(999999)));
  veth.netlink.watch(() => {})[Symbol.dispose]();
  await sleep(10);
  assert.equal(descriptors(), before);
  veth.netlink.close();
  assert.throws(() => veth.netlink.links(), { code: 'BUG' });
});

test('a sysctl is read and written per interface', async () => {
  await using veth = scratchVeth();
  const name = `net.ipv4.conf.${veth.name}.rp_filter`;
  writeSysctl(name, 2);
  assert.equal(readSysctl(name), '2');
  assert.equal(readSysctl('net.ipv4.conf.weir-nowhere.rp_filter'), undefined);
  assert.throws(() => writeSysctl('net.ipv4.conf.weir-nowhere.rp_filter', 1), { errno: 'ENOENT' });
  assert.throws(() => writeSysctl(name, 'much'), { errno: 'EINVAL', message: /rp_filter to much/ });
});

test('any number of deletions may be asked for at once', async () => {
  const netlink = Netlink.open();
  const pairs = Array.from({ length: 20 }, () => scratchVeth());
  const nowhere = Array.from({ length: 200 }, () => netlink.deleteLink(999999));
  await Promise.all([...pairs.map(({ index }) => netlink.deleteLink(index)), ...nowhere]);
  for (const { name } of pairs) assert.equal(netlink.link(name), undefined);
  netlink.close();
  for (const pair of pairs) await pair[Symbol.asyncDispose]();
});

test('those that wait are deleted together, on one descriptor, and nobody else is', async () => {
  const netlink = Netlink.open();
  await using other = scratchVeth();
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const pairs = Array.from({ length: 100 }, () => scratchVeth());
  const before = descriptors();
  let most = before;
  const deleting = pairs.map(async ({ index }) => {
    await netlink.deleteLink(index);
    most = Math.max(most, descriptors());
  });
  await Promise.all([...deleting, (async () => (most = Math.max(most, descriptors())))()]);
  assert.ok(most <= before + 1, `${before} descriptors, then ${most}`);
  for (const { name } of pairs) assert.equal(netlink.link(name), undefined);
  assert.equal(netlink.link(other.index)?.name, other.name);
  netlink.close();
  for (const pair of pairs) await pair[Symbol.asyncDispose]();
});

test('a link that another deletion has taken along is no error', async () => {
  const [one, other] = [scratchVeth(), scratchVeth()];
  await Promise.all([one.netlink.deleteLink(one.index), other.netlink.deleteLink(other.index)]);
  for (const { name } of [one, other]) assert.equal(one.netlink.link(name), undefined);
  for (const pair of [one, other]) await pair[Symbol.asyncDispose]();
});

test('another network namespace is looked at and changed, and this one is as before', async () => {
  const holder = spawn('unshare', ['--net', 'sleep', '60']);
  try {
    const namespace = `/proc/${holder.pid}/ns/net`;
    const own = readlinkSync('/proc/self/ns/net');
    while (readlinkSync(namespace) === own) await sleep(5);
    const there = Netlink.openIn(namespace);
    assert.deepEqual(
      there.links().map(({ name }) => name),
      ['lo'],
    );
    there.setLinkUp(1);
    there.addAddress(1, '192.0.2.77/32');
    assert.ok(there.addresses().some(({ address }) => address === '192.0.2.77'));
    there.close();
    assert.equal(readlinkSync('/proc/thread-self/ns/net'), own);
    const here = Netlink.open();
    assert.ok(!here.addresses().some(({ address }) => address === '192.0.2.77'));
    here.close();
  } finally {
    holder.kill('SIGKILL');
  }
});

test('what is no network namespace is refused, and this thread stays where it was', () => {
  const own = readlinkSync('/proc/thread-self/ns/net');
  assert.throws(() => Netlink.openIn('/proc/self/ns/mnt'), { errno: 'EINVAL' });
  assert.throws(() => Netlink.openIn('/run/netns/weir-nowhere'), { code: 'ENOENT' });
  assert.equal(readlinkSync('/proc/thread-self/ns/net'), own);
});
