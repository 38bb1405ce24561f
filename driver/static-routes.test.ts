import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressNumber, cidrSize, parseCidr } from '../base/index.ts';
import { cutOut, destinationsOf, onLinkPrefix, staticRoutes } from './static-routes.ts';

const plain = {
  gateways: ['169.254.1.1', 'fe80::1'],
  clusterCidrs: ['10.210.0.0/16', 'fd00:210::/48'],
  pools: ['10.210.0.0/24', 'fd00:210::/64'],
  onLink: [],
  isMixed: false,
  carries: false,
  around: [],
  taken: new Set<string>(),
};

test('a container of weir alone needs no route beside its default one, but in IPv6 the one to its next hop', () => {
  assert.deepEqual(destinationsOf(plain), ['fe80::1/128']);
  assert.deepEqual(destinationsOf({ ...plain, gateways: ['169.254.1.1'] }), []);
});

test("a container on another driver's network gets routes to the cluster and to pools outside of it", () => {
  const pools = ['10.210.0.0/24', '10.85.0.0/24', 'fd00:85::/64'];
  const carrier = { ...plain, isMixed: true, carries: true };
  assert.deepEqual(destinationsOf({ ...carrier, pools }), [
    ...['10.210.0.0/16', '10.85.0.0/24'],
    ...['fe80::1/128', 'fd00:210::/48', 'fd00:85::/64'],
  ]);
  const gateways = ['169.254.1.1'];
  assert.deepEqual(destinationsOf({ ...carrier, gateways }), ['10.210.0.0/16']);
  assert.deepEqual(destinationsOf({ ...plain, pools, isMixed: true, gateways }), ['10.85.0.0/24']);
});

test('no destination is given twice', () => {
  const taken = new Set(['10.210.0.0/16', 'fe80::1/128']);
  assert.deepEqual(destinationsOf({ ...plain, isMixed: true, carries: true, taken }), ['fd00:210::/48']);
});

test('a prefix that the kernel takes to be on the link is led to the gateway by halves', () => {
  const onLink = ['172.18.0.0/16', 'fd00:18::/64'];
  assert.deepEqual(destinationsOf({ ...plain, onLink, pools: onLink }), [
    ...['172.18.0.0/17', '172.18.128.0/17'],
    ...['fe80::1/128', 'fd00:18::/65', 'fd00:18:0:0:8000::/65'],
  ]);
});

test('the on-link prefix of an address', () => {
  assert.equal(onLinkPrefix('10.85.0.50', 24), '10.85.0.0/24');
  assert.equal(onLinkPrefix('172.18.200.9', 17), '172.18.128.0/17');
  assert.equal(onLinkPrefix('255.255.255.255', 1), '128.0.0.0/1');
  assert.equal(onLinkPrefix('10.85.0.50', 32), undefined);
  assert.equal(onLinkPrefix('fd00:18::5', 64), 'fd00:18::/64');
  assert.equal(onLinkPrefix('fd00:18::5', 128), undefined);
});

test('the gateway is on the link, destinations go by it', () => {
  assert.deepEqual(staticRoutes(['169.254.1.1'], ['10.210.0.0/16']), [
    { Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' },
    { Destination: '10.210.0.0/16', RouteType: 0, NextHop: '169.254.1.1' },
  ]);
});

test('each family goes by its own gateway; a link-local one needs no route unless something goes by it', () => {
  const gateways = ['169.254.1.1', 'fe80::1'];
  const first = { Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' };
  assert.deepEqual(staticRoutes(gateways, []), [first]);
  assert.deepEqual(staticRoutes(gateways, ['fe80::1/128', 'fd00:18::/65']), [
    first,
    { Destination: 'fe80::1/128', RouteType: 1, NextHop: '' },
    { Destination: 'fd00:18::/65', RouteType: 0, NextHop: 'fe80::1' },
  ]);
  assert.deepEqual(staticRoutes(['fd00:18::9'], []), [
    { Destination: 'fd00:18::9/128', RouteType: 1, NextHop: '' },
  ]);
});

test('a prefix is cut around addresses', () => {
  assert.deepEqual(cutOut('10.0.0.0/30', []), ['10.0.0.0/30']);
  assert.deepEqual(cutOut('10.0.0.0/30', ['10.0.1.1', 'fd00::1']), ['10.0.0.0/30']);
  assert.deepEqual(cutOut('10.0.0.0/30', ['10.0.0.1']), ['10.0.0.0/32', '10.0.0.2/31']);
  assert.deepEqual(cutOut('10.0.0.1/32', ['10.0.0.1']), []);
  assert.equal(cutOut('10.210.0.0/16', ['10.210.0.5']).length, 16);
});

test('what is left holds every address of the prefix once, except those cut out', () => {
  const octet = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(fc.array(octet, { maxLength: 20 }), octet, (cut, asked) => {
      const left = cutOut(
        '10.0.0.0/24',
        cut.map((last) => `10.0.0.${last}`),
      ).map(parseCidr);
      const number = addressNumber(`10.0.0.${asked}`);
      const holding = left.filter((cidr) => {
        const first = addressNumber(cidr.address);
        return first <= number && number < first + cidrSize(cidr);
      });
      assert.equal(holding.length, cut.includes(asked) ? 0 : 1);
    }),
  );
});
