import assert from 'node:assert/strict';
import test from 'node:test';
import type { InterfaceAddress, Link, Route } from '../kernel/index.ts';
import { bridgesOf, uplinksOf } from './uplink-choice.ts';
import type { HostView } from './uplink-choice.ts';

function link(index: number, name: string, change: Partial<Link> = {}): Link {
  return {
    index,
    name,
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    up: true,
    carrier: true,
    loopback: false,
    framed: true,
    ...change,
  };
}

const PLAIN = { scope: 'global', temporary: false, usable: true } as const;

function address(ifindex: number, text: string, change: Partial<InterfaceAddress> = {}): InterfaceAddress {
  const family = text.includes(':') ? 6 : 4;
  return { ...PLAIN, ifindex, address: text, length: 24, family, ...change };
}

function defaultRoute(ifindex: number, change: Partial<Route> = {}): Route {
  return {
    family: 4,
    destination: '0.0.0.0/0',
    table: 254,
    type: 'unicast',
    scope: 'global',
    protocol: 3,
    ifindex,
    ...change,
  };
}

const LO = link(1, 'lo', { loopback: true });
const ETH0 = link(2, 'eth0', { mtu: 9000 });
const ETH1 = link(3, 'eth1');
const DOCKER0 = link(4, 'docker0', { kind: 'bridge' });
const PORT = link(5, 'veth1', { kind: 'veth', master: 4 });
const OWN = link(6, 'weir7', { kind: 'veth' });
const links = [LO, ETH0, ETH1, DOCKER0, PORT, OWN];
const addresses = [
  address(1, '127.0.0.1', { scope: 'host' }),
  address(2, 'fe80::1', { family: 6, scope: 'link' }),
  address(2, '169.254.3.4', { scope: 'link' }),
  address(2, '192.0.2.7'),
  address(2, '192.0.2.8'),
  address(4, '172.17.0.1'),
  address(6, '10.210.0.9'),
];
const TUNNEL = link(7, 'wg0', { mac: '', framed: false, kind: 'wireguard' });
const eth0 = { ifindex: 2, name: 'eth0', mtu: 9000, framed: true, ipv4: '192.0.2.7' };

function weir0And(...present: InterfaceAddress[]): HostView {
  return { links: [...links, link(8, 'weir0', { kind: 'bridge' })], addresses: present, routes: [] };
}

test('the device of the default route, with its first address that is good for all the world', () => {
  assert.deepEqual(uplinksOf({ links, addresses, routes: [defaultRoute(2)] }, []), [eth0]);
});

test('of several default routes the best, and none that leads nowhere or is in a table of its own', () => {
  const routes = [
    defaultRoute(4, { table: 100 }),
    { ...defaultRoute(3), type: 'blackhole' as const },
    defaultRoute(3, { metric: 600 }),
    defaultRoute(2, { metric: 100 }),
  ];
  assert.deepEqual(uplinksOf({ links, addresses, routes }, []), [eth0]);
  assert.deepEqual(uplinksOf({ links, addresses, routes: [...routes, defaultRoute(3)] }, []), [
    { ifindex: 3, name: 'eth1', mtu: 1500, framed: true },
    eth0,
  ]);
});

test('then all others that have an address and lead out, tunnels too: no bridge, no port of one, none that is down', () => {
  const more = [...addresses, address(3, '198.51.100.1'), address(5, '192.0.2.9'), address(7, '192.0.2.10')];
  const eth1 = { ifindex: 3, name: 'eth1', mtu: 1500, framed: true, ipv4: '198.51.100.1' };
  const found = (present: Link[], ...routes: Route[]): unknown =>
    uplinksOf({ links: present, addresses: more, routes }, []);
  const wg0 = { ifindex: 7, name: 'wg0', mtu: 1500, framed: false, ipv4: '192.0.2.10' };
  const all = [...links, TUNNEL];
  assert.deepEqual(found(all), [eth0, eth1, wg0]);
  assert.deepEqual(found(all, defaultRoute(2)), [eth0, eth1, wg0]);
  assert.deepEqual(found(all, defaultRoute(7)), [wg0, eth0, eth1]);
  assert.deepEqual(found([LO, { ...ETH0, up: false }, ETH1, DOCKER0, PORT, OWN]), [eth1]);
});

test('a bridge with an address is one where published ports are asked for; a port of it, and weir’s own, are not', () => {
  const host = weir0And(address(8, '10.210.0.1'), ...addresses);
  const docker0 = { ifindex: 4, name: 'docker0', mtu: 1500, framed: true };
  assert.deepEqual(bridgesOf(host), [docker0]);
  assert.deepEqual(bridgesOf(weir0And(address(2, '192.0.2.7'))), [], 'nobody behind it asks an address');
  assert.deepEqual(uplinksOf({ ...host, routes: [defaultRoute(4)] }, [])[0], {
    ...docker0,
    ipv4: '172.17.0.1',
  });
});

test('those that are named and there, whatever the routes say', () => {
  const found = uplinksOf({ links, addresses, routes: [defaultRoute(2)] }, ['eth1', 'ppp0']);
  assert.deepEqual(found, [{ ifindex: 3, name: 'eth1', mtu: 1500, framed: true }]);
});

const default6 = (ifindex: number): Route => defaultRoute(ifindex, { destination: '::/0', family: 6 });

test('each family has a way out of its own, which may be the same', () => {
  const more = [...addresses, address(2, '2001:db8::2'), address(3, '2001:db8:3::2')];
  const both = { ...eth0, ipv6: '2001:db8::2' };
  const eth1 = { ifindex: 3, name: 'eth1', mtu: 1500, framed: true, ipv6: '2001:db8:3::2' };
  const found = (...routes: Route[]): unknown => uplinksOf({ links, addresses: more, routes }, []);
  assert.deepEqual(found(defaultRoute(2), default6(2)), [both, eth1]);
  assert.deepEqual(found(default6(3), defaultRoute(2)), [both, eth1]);
  assert.deepEqual(found(default6(3)), [eth1, both]);
  const six = [address(2, '2001:db8::2')];
  assert.deepEqual(uplinksOf({ links, addresses: six, routes: [] }, []), [
    { ifindex: 2, name: 'eth0', mtu: 9000, framed: true, ipv6: '2001:db8::2' },
  ]);
});

test('the IPv6 address is one that is good for all the world and stays, the oldest of such', () => {
  const candidates: [InterfaceAddress, string][] = [
    [address(2, 'fe80::2', { scope: 'link' }), 'none'],
    [address(2, '2001:db8::f', { usable: false }), 'none'],
    [address(2, 'fd00::2', { temporary: true }), 'fd00::2'],
    [address(2, 'fd00::3'), 'fd00::3'],
    [address(2, '2001:db8::4', { temporary: true }), '2001:db8::4'],
    [address(2, '2001:db8::5'), '2001:db8::5'],
    // the kernel lists a new one before those of its kind
    [address(2, '2001:db8::6'), '2001:db8::5'],
  ];
  const present: InterfaceAddress[] = [];
  for (const [next, expected] of candidates) {
    present.unshift(next);
    const [uplink] = uplinksOf({ links, addresses: present, routes: [default6(2)] }, []);
    assert.equal(uplink?.ipv6 ?? 'none', expected, next.address);
  }
});
