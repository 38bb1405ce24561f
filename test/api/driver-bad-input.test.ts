/** Whatever is sent to the plugin socket: one line of refusal, nothing changed, and the next good call works. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import request from 'supertest';
import { type DriverRig, driverRig, stateOf } from './driver-rig.ts';

const METHODS = ['CreateNetwork', 'DeleteNetwork', 'CreateEndpoint', 'DeleteEndpoint', 'Join', 'Leave'];
const MORE = [
  'EndpointOperInfo',
  'ProgramExternalConnectivity',
  'RevokeExternalConnectivity',
  'AllocateNetwork',
  'FreeNetwork',
];

const NETWORK = {
  NetworkID: 'a'.repeat(64),
  Options: { 'com.docker.network.generic': {} },
  IPv4Data: [{ AddressSpace: 'weir', Pool: '10.210.0.0/24', Gateway: '' }],
  IPv6Data: [],
};
const ENDPOINT = {
  NetworkID: 'a'.repeat(64),
  EndpointID: 'b'.repeat(64),
  Interface: { Address: '10.210.0.5/32', AddressIPv6: '', MacAddress: '' },
  Options: {},
};
const JOIN = {
  NetworkID: 'a'.repeat(64),
  EndpointID: 'b'.repeat(64),
  SandboxKey: '/run/docker/netns/1',
  Options: {},
};

function post(rig: DriverRig, method: string, body: string) {
  return request(rig.app).post(`/NetworkDriver.${method}`).send(body);
}

/** A rig with one network and one container on it. */
async function runningRig(): Promise<DriverRig> {
  const rig = driverRig();
  for (const [method, body] of [
    ['CreateNetwork', NETWORK],
    ['CreateEndpoint', ENDPOINT],
    ['Join', JOIN],
  ] as const) {
    const { text } = await post(rig, method, JSON.stringify(body));
    assert.doesNotMatch(text, /Err/);
  }
  return rig;
}

async function assertRefused(rig: DriverRig, method: string, body: string): Promise<void> {
  const before = stateOf(rig);
  const { text, status } = await post(rig, method, body);
  const { Err } = JSON.parse(text) as { Err?: string };
  const about = `${method} ${body.slice(0, 300)} → ${status} ${text}`;
  assert.ok(Err !== undefined && Err !== '' && !Err.includes('\n'), about);
  assert.ok(status === 200 || (status >= 400 && status < 500), about);
  assert.ok(!Err.endsWith('[BUG]'), about);
  assert.equal(stateOf(rig), before, about);
}

const notJson = fc.oneof(
  fc.string().filter((text) => !isObject(text)),
  fc.json().filter((text) => !isObject(text)),
  fc.constantFrom('', '{', '{"NetworkID":', '[]', 'null', '"{}"', '\u0000', '{"NetworkID":"a"}}'),
);

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

test('a body that is no JSON object is refused, 2,000 times', async () => {
  const rig = await runningRig();
  const calls = fc.tuple(fc.constantFrom(...METHODS, ...MORE), notJson);
  await fc.assert(
    fc.asyncProperty(calls, ([method, body]) => assertRefused(rig, method, body)),
    { numRuns: 2_000 },
  );
});

/** Values that no id, list, object or text field may have. */
const wrong = fc.oneof(
  fc.integer(),
  fc.boolean(),
  fc.constant([1]),
  fc.constant(['x']),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom('../../etc', ' ', 'a b', 'ü', 'x'.repeat(200)),
);
const wrongFields = fc.constantFrom<[string, object, string]>(
  ['CreateNetwork', NETWORK, 'NetworkID'],
  ['CreateNetwork', NETWORK, 'Options'],
  ['CreateNetwork', NETWORK, 'IPv4Data'],
  ['CreateEndpoint', ENDPOINT, 'EndpointID'],
  ['CreateEndpoint', ENDPOINT, 'NetworkID'],
  ['CreateEndpoint', ENDPOINT, 'Interface'],
  ['CreateEndpoint', ENDPOINT, 'Options'],
  ['Join', JOIN, 'EndpointID'],
  ['Join', JOIN, 'NetworkID'],
);

test('a field of the wrong kind is refused, 1,500 times', async () => {
  const rig = await runningRig();
  const calls = fc.tuple(wrongFields, wrong);
  const property = fc.asyncProperty(calls, ([[method, body, field], value]) =>
    assertRefused(rig, method, JSON.stringify({ ...body, [field]: value })),
  );
  await fc.assert(property, { numRuns: 1_500 });
});

const badOption = fc
  .tuple(fc.string({ minLength: 1 }), fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant({})))
  .map(([name, value]) => ({ [`x${name}`]: value }));
const badValue = fc
  .tuple(
    fc.constantFrom('weir.isolation', 'weir.mtu', 'weir.ports', 'com.docker.network.driver.mtu'),
    fc.string(),
  )
  .filter(([, value]) => !/^\d{3,5}$/.test(value) && !['network', 'none', 'refuse', 'ignore'].includes(value))
  .map(([name, value]) => ({ [name]: value }));

test('an option that weir does not know or cannot read is refused, 1,000 times', async () => {
  const rig = await runningRig();
  const property = fc.asyncProperty(fc.oneof(badOption, badValue), (options) =>
    assertRefused(
      rig,
      'CreateNetwork',
      JSON.stringify({
        ...NETWORK,
        NetworkID: 'c'.repeat(64),
        Options: { 'com.docker.network.generic': options },
      }),
    ),
  );
  await fc.assert(property, { numRuns: 1_000 });
});

const address = fc.oneof(
  fc.string(),
  fc.ipV6(),
  fc.constantFrom(
    '10.210.0.5/33',
    '10.210.0.5/0',
    '10.1',
    '0x0a.1.1.1/32',
    '10.210.0.05/32',
    '10.210.0.5/32',
  ),
);
const badInterface = fc.oneof(
  address.map((Address) => ({ ...ENDPOINT.Interface, Address })),
  fc.ipV6().map((AddressIPv6) => ({ ...ENDPOINT.Interface, AddressIPv6 })),
  fc
    .constantFrom('ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '00:00:00:00:00:00', '02:11:22:33:44', 'x')
    .map((MacAddress) => ({ ...ENDPOINT.Interface, Address: '10.210.0.9/32', MacAddress })),
);

test('an interface that cannot be is refused, 600 times', async () => {
  const rig = await runningRig();
  const property = fc.asyncProperty(badInterface, (Interface) =>
    assertRefused(
      rig,
      'CreateEndpoint',
      JSON.stringify({ ...ENDPOINT, EndpointID: 'd'.repeat(64), Interface }),
    ),
  );
  await fc.assert(property, { numRuns: 600 });
});

test('after all that the driver still works', async () => {
  const rig = await runningRig();
  await post(rig, 'CreateNetwork', 'x'.repeat(2_000_000)).expect(413);
  await request(rig.app).post('/NetworkDriver.Nothing').send('{}').expect(404);
  await request(rig.app).get('/').expect(404);
  const { text } = await post(
    rig,
    'CreateEndpoint',
    JSON.stringify({ ...ENDPOINT, EndpointID: 'e'.repeat(64), Interface: { Address: '10.210.0.6/32' } }),
  );
  assert.deepEqual(JSON.parse(text), { Interface: { MacAddress: '02:77:0a:d2:00:06' } });
});
