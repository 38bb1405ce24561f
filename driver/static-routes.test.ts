import assert from 'node:assert/strict';
import { test } from 'node:test';
import { destinationsOf, onLinkPrefix, staticRoutes } from './static-routes.ts';

const plain = {
  clusterCidr: '10.210.0.0/16',
  pools: ['10.210.0.0/24'],
  isMixed: false,
  taken: new Set<string>(),
};

test('a container of weir alone needs no route beside its default one', () => {
  assert.deepEqual(destinationsOf(plain), []);
});

test("a container on another driver's network gets routes to the cluster and to pools outside of it", () => {
  const pools = ['10.210.0.0/24', '10.85.0.0/24'];
  assert.deepEqual(destinationsOf({ ...plain, pools, isMixed: true }), ['10.210.0.0/16', '10.85.0.0/24']);
});

test('no destination is given twice', () => {
  const taken = new Set(['10.210.0.0/16']);
  assert.deepEqual(destinationsOf({ ...plain, isMixed: true, taken }), []);
});

test('a prefix that the kernel takes to be on the link is led to the gateway by halves', () => {
  assert.deepEqual(destinationsOf({ ...plain, onLink: '172.18.0.0/16', pools: ['172.18.0.0/16'] }), [
    '172.18.0.0/17',
    '172.18.128.0/17',
  ]);
});

test('the on-link prefix of an address', () => {
  assert.equal(onLinkPrefix('10.85.0.50', 24), '10.85.0.0/24');
  assert.equal(onLinkPrefix('172.18.200.9', 17), '172.18.128.0/17');
  assert.equal(onLinkPrefix('255.255.255.255', 1), '128.0.0.0/1');
  assert.equal(onLinkPrefix('10.85.0.50', 32), undefined);
});

test('the gateway is on the link, destinations go by it', () => {
  assert.deepEqual(staticRoutes('169.254.1.1', ['10.210.0.0/16']), [
    { Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' },
    { Destination: '10.210.0.0/16', RouteType: 0, NextHop: '169.254.1.1' },
  ]);
});
