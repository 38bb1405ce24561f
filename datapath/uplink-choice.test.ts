import assert from 'node:assert/strict';
import test from 'node:test';
import type { InterfaceAddress, Link, Route } from '../kernel/index.ts';
import { uplinksOf } from './uplink-choice.ts';

function link(index: number, name: string, change: Partial<Link> = {}): Link {
  return {
    index,
    name,
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    up: true,
    carrier: true,
    loopback: false,
    ...change,
  };
}

function address(ifindex: number, text: string, change: Partial<InterfaceAddress> = {}): InterfaceAddress {
  return { ifindex, address: text, length: 24, family: 4, scope: 'global', ...change };
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
const eth0 = { ifindex: 2, name: 'eth0', mtu: 9000, address: '192.0.2.7' };

test('the device of the default route, with its first address that is good for all the world', () => {
  assert.deepEqual(uplinksOf({ links, addresses, routes: [defaultRoute(2)] }, []), [eth0]);
});

test('of several default routes the best, and none that leads nowhere or is in a table of its own', () => {
  const routes = [
    defaultRoute(4, { table: 100 }),
    { ...defaultRoute(3), type: 'blackhole' as const },
    defaultRoute(3, { metric: 600 }),
    defaultRoute(2, { metric: 100 }),
    defaultRoute(5, { destination: '::/0', family: 6 }),
  ];
  assert.deepEqual(uplinksOf({ links, addresses, routes }, []), [eth0]);
  assert.deepEqual(uplinksOf({ links, addresses, routes: [...routes, defaultRoute(3)] }, []), [
    { ifindex: 3, name: 'eth1', mtu: 1500 },
  ]);
});

test('without a default route the only device that leads anywhere, and none where there are two', () => {
  assert.deepEqual(uplinksOf({ links, addresses, routes: [] }, []), [eth0]);
  const more = [...addresses, address(3, '198.51.100.1')];
  assert.deepEqual(uplinksOf({ links, addresses: more, routes: [] }, []), []);
  const shut = [LO, { ...ETH0, up: false }, ETH1, DOCKER0, PORT, OWN];
  assert.deepEqual(uplinksOf({ links: shut, addresses: more, routes: [] }, []), [
    { ifindex: 3, name: 'eth1', mtu: 1500, address: '198.51.100.1' },
  ]);
});

test('those that are named and there, whatever the routes say', () => {
  const found = uplinksOf({ links, addresses, routes: [defaultRoute(2)] }, ['eth1', 'ppp0']);
  assert.deepEqual(found, [{ ifindex: 3, name: 'eth1', mtu: 1500 }]);
});
