import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEndpointOptions, parseNetworkOptions } from './network-options.ts';

const good: { name: string; given: Record<string, string>; expected: object }[] = [
  { name: 'nothing', given: {}, expected: { isolation: 'network', ports: 'publish' } },
  {
    name: 'isolation',
    given: { 'weir.isolation': 'none' },
    expected: { isolation: 'none', ports: 'publish' },
  },
  { name: 'ports', given: { 'weir.ports': 'ignore' }, expected: { isolation: 'network', ports: 'ignore' } },
  {
    name: 'mtu',
    given: { 'weir.mtu': '1400' },
    expected: { isolation: 'network', ports: 'publish', mtu: 1400 },
  },
  {
    name: "Docker's own key for the mtu",
    given: { 'com.docker.network.driver.mtu': '9000' },
    expected: { isolation: 'network', ports: 'publish', mtu: 9000 },
  },
];

for (const { name, given, expected } of good) {
  test(`network options: ${name}`, () => assert.deepEqual(parseNetworkOptions(given), expected));
}

const bad: { name: string; given: Record<string, unknown>; says: RegExp }[] = [
  {
    name: 'an unknown option by name, with those known',
    given: { parent: 'eth9' },
    says: /unknown network option "parent"/,
  },
  { name: 'an unknown weir option', given: { 'weir.mode': 'x' }, says: /"weir\.mode"/ },
  {
    name: 'a key of the bridge driver',
    given: { 'com.docker.network.bridge.name': 'x' },
    says: /bridge\.name/,
  },
  { name: 'a key that every object has', given: { constructor: 'x' }, says: /"constructor"/ },
  {
    name: 'an isolation that does not exist',
    given: { 'weir.isolation': 'some' },
    says: /weir\.isolation: "some"/,
  },
  { name: 'ports that are refused', given: { 'weir.ports': 'refuse' }, says: /weir\.ports: "refuse"/ },
  { name: 'an empty value', given: { 'weir.ports': '' }, says: /weir\.ports: ""/ },
  { name: 'an mtu below what IPv4 needs', given: { 'weir.mtu': '575' }, says: /weir\.mtu: "575"/ },
  { name: 'an mtu above what a packet can have', given: { 'weir.mtu': '65536' }, says: /"65536"/ },
  { name: 'an mtu that is not a number', given: { 'weir.mtu': '1e3' }, says: /"1e3"/ },
  {
    name: 'two different mtus',
    given: { 'weir.mtu': '1400', 'com.docker.network.driver.mtu': '1500' },
    says: /"1500"/,
  },
  { name: 'a value that is not text', given: { 'weir.mtu': 1400 }, says: /1400/ },
];

for (const { name, given, says } of bad) {
  test(`network options refuse ${name}`, () => assert.throws(() => parseNetworkOptions(given), says));
}

test('the refusal of an unknown option lists the known ones', () => {
  assert.throws(() => parseNetworkOptions({ x: '' }), {
    code: 'OPTION_UNKNOWN',
    hint: 'weir knows weir.isolation, weir.mtu, weir.ports, com.docker.network.driver.mtu',
  });
});

test("endpoint options: others' keys pass, weir's are refused in any case of letters", () => {
  checkEndpointOptions({ 'com.docker.network.endpoint.dnsservers': ['192.0.2.53'] });
  assert.throws(() => checkEndpointOptions({ 'Weir.x': 'y' }), /"Weir\.x"/);
});

test('endpoint options: a chosen name of the interface is refused, because it would be ignored', () => {
  assert.throws(() => checkEndpointOptions({ 'com.docker.network.endpoint.ifname': 'eth9' }), {
    code: 'OPTION_UNKNOWN',
    message: /ifname cannot be chosen/,
  });
});
