/** What dockerd reads from the answers of the plugin socket. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import request from 'supertest';
import { type DriverRig, driverRig } from './driver-rig.ts';

const TYPE = 'application/vnd.docker.plugins.v1.2+json';

async function post(rig: DriverRig, method: string, body: object): Promise<Record<string, unknown>> {
  const response = await request(rig.app)
    .post(`/NetworkDriver.${method}`)
    .send(JSON.stringify(body))
    .expect(200);
  assert.equal(response.headers['content-type'], TYPE);
  return JSON.parse(response.text) as Record<string, unknown>;
}

function network(id: string, options: object = {}, gateway = ''): object {
  return {
    NetworkID: id,
    Options: options,
    IPv4Data: [{ Pool: '10.210.0.0/24', Gateway: gateway }],
    IPv6Data: [],
  };
}

function endpoint(id: string, networkId: string, address: string, more: object = {}): object {
  return {
    NetworkID: networkId,
    EndpointID: id,
    Interface: { Address: address, AddressIPv6: '', MacAddress: '', ...more },
    Options: {},
  };
}

test('activation names both drivers, in the content type of plugins', async () => {
  const response = await request(driverRig().app).post('/Plugin.Activate').expect(200);
  assert.equal(response.headers['content-type'], TYPE);
  assert.deepEqual(JSON.parse(response.text), { Implements: ['NetworkDriver', 'IpamDriver'] });
});

test('a MAC address that came is not answered, one that is missing is', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  const given = endpoint('e1', 'n1', '10.210.0.5/32', { MacAddress: '02:11:22:33:44:55' });
  assert.deepEqual(await post(rig, 'CreateEndpoint', given), { Interface: {} });
  assert.equal(rig.datapath.specs.get('e1')?.mac, '02:11:22:33:44:55');
  const none = await post(rig, 'CreateEndpoint', endpoint('e2', 'n1', '10.210.0.6/32'));
  assert.deepEqual(none, { Interface: { MacAddress: '02:77:0a:d2:00:06' } });
});

test('the gateway is link-local, one for each network, or the one that the user gave', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  await post(rig, 'CreateNetwork', network('n2', { 'com.docker.network.internal': true }));
  await post(rig, 'CreateNetwork', network('n3', {}, '10.210.0.254/24'));
  const gateways: unknown[] = [];
  for (const id of ['1', '2', '3']) {
    await post(rig, 'CreateEndpoint', endpoint(`e${id}`, `n${id}`, `10.210.0.${id}/32`));
    gateways.push(
      (await post(rig, 'Join', { NetworkID: `n${id}`, EndpointID: `e${id}`, SandboxKey: '/ns/1' }))[
        'Gateway'
      ],
    );
  }
  assert.deepEqual(gateways, ['169.254.1.1', '169.254.1.2', '10.210.0.254']);
});

test('each family has a gateway of its own, and a network of IPv6 alone has only that', async () => {
  const rig = driverRig();
  const IPv6Data = [{ Pool: 'fd00:210::/64', Gateway: 'fd00:210::1/64' }];
  await post(rig, 'CreateNetwork', { ...network('n1'), IPv6Data: [{ Pool: 'fd00:210::/64' }] });
  await post(rig, 'CreateNetwork', { NetworkID: 'n2', Options: {}, IPv4Data: [], IPv6Data });
  const both = { AddressIPv6: 'fd00:210::5/128' };
  await post(rig, 'CreateEndpoint', endpoint('e1', 'n1', '10.210.0.5/32', both));
  const six = await post(rig, 'CreateEndpoint', endpoint('e2', 'n2', '', { AddressIPv6: 'fd00:210::6/128' }));
  assert.deepEqual(six, { Interface: { MacAddress: '02:77:00:00:00:06' } });
  const answers: Record<string, unknown>[] = [];
  for (const id of ['1', '2'])
    answers.push(
      await post(rig, 'Join', { NetworkID: `n${id}`, EndpointID: `e${id}`, SandboxKey: `/ns/${id}` }),
    );
  const interfaces = answers.map(({ InterfaceName }) => InterfaceName);
  assert.deepEqual(answers, [
    {
      InterfaceName: interfaces[0],
      Gateway: '169.254.1.1',
      GatewayIPv6: 'fe80::1',
      StaticRoutes: [
        { Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' },
        { Destination: 'fe80::1/128', RouteType: 1, NextHop: '' },
      ],
      DisableGatewayService: true,
    },
    {
      InterfaceName: interfaces[1],
      GatewayIPv6: 'fd00:210::1',
      StaticRoutes: [{ Destination: 'fd00:210::1/128', RouteType: 1, NextHop: '' }],
      DisableGatewayService: true,
    },
  ]);
});

test('an endpoint without any address is refused', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  const { Err } = JSON.parse(
    (
      await request(rig.app)
        .post('/NetworkDriver.CreateEndpoint')
        .send(JSON.stringify(endpoint('e1', 'n1', '')))
        .expect(400)
    ).text,
  ) as { Err: string };
  assert.match(Err, /has no IPv4 address: "".*BAD_REQUEST/);
  const disguised = endpoint('e1', 'n1', '', { AddressIPv6: '::ffff:10.210.0.5' });
  await request(rig.app).post('/NetworkDriver.CreateEndpoint').send(JSON.stringify(disguised)).expect(400);
  assert.deepEqual(rig.endpoints.list(), []);
});

test('an address with a mask is led to the gateway by halves of its prefix', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  await post(rig, 'CreateEndpoint', endpoint('e1', 'n1', '172.18.0.2/16'));
  const { StaticRoutes } = await post(rig, 'Join', {
    NetworkID: 'n1',
    EndpointID: 'e1',
    SandboxKey: '/ns/1',
  });
  assert.deepEqual(StaticRoutes, [
    { Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' },
    { Destination: '172.18.0.0/17', RouteType: 0, NextHop: '169.254.1.1' },
    { Destination: '172.18.128.0/17', RouteType: 0, NextHop: '169.254.1.1' },
  ]);
});

const refusals: { name: string; options: object; data?: object; says: RegExp }[] = [
  { name: 'no addresses', options: {}, data: {}, says: /needs addresses, IPv4 or IPv6.*--ipam-driver weir/ },
  {
    name: 'the addresses of no IPAM driver',
    options: {},
    data: { IPv4Data: [{ Pool: '0.0.0.0/0' }] },
    says: /pool 0\.0\.0\.0\/0 is not an IPv4 network/,
  },
  {
    name: 'IPv4 addresses for IPv6 ones',
    options: {},
    data: { IPv6Data: [{ Pool: '10.210.0.0/24' }] },
    says: /pool 10\.210\.0\.0\/24 is not an IPv6 network/,
  },
  {
    name: 'an MTU with which IPv6 does not work',
    options: { 'com.docker.network.generic': { 'weir.mtu': '1279' } },
    data: { IPv6Data: [{ Pool: 'fd00:210::/64' }] },
    says: /option weir\.mtu: 1279 is not possible \(write 1280 or more/,
  },
  {
    name: 'an unknown option',
    options: { 'com.docker.network.generic': { parent: 'eth9' } },
    says: /"parent" \(weir knows weir\.isolation, /,
  },
];

for (const { name, options, data, says } of refusals) {
  test(`a network with ${name} is refused in one line, and is not there`, async () => {
    const rig = driverRig();
    const asked = { ...network('n1', options), ...(data && { IPv4Data: [], IPv6Data: [], ...data }) };
    const { Err } = await post(rig, 'CreateNetwork', asked);
    assert.match(String(Err), says);
    assert.deepEqual(rig.networks.list(), []);
  });
}

const PORTMAP = 'com.docker.network.portmap';
const published = { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 };

test('ports are published when dockerd says so, and taken back when it says that', async () => {
  const rig = driverRig();
  const ids = { NetworkID: 'n1', EndpointID: 'e1' };
  const options = { Options: { [PORTMAP]: [published] } };
  await post(rig, 'CreateNetwork', network('n1'));
  await post(rig, 'CreateEndpoint', { ...endpoint('e1', 'n1', '10.210.0.5/32'), ...options });
  await post(rig, 'Join', { ...ids, SandboxKey: '/ns/1', ...options });
  assert.equal(rig.datapath.ports.size, 0, 'only the endpoint that leads outside publishes');
  assert.deepEqual(await post(rig, 'ProgramExternalConnectivity', { ...ids, ...options }), {});
  assert.deepEqual(
    rig.datapath.ports.get('e1')?.map(({ hostPort, address, port }) => [hostPort, address, port]),
    [[8080, '10.210.0.5', 80]],
  );
  for (let time = 0; time < 2; time++)
    assert.deepEqual(await post(rig, 'RevokeExternalConnectivity', ids), {});
  assert.equal(rig.datapath.ports.size, 0);
});

test('what cannot be published is refused before anything is made', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  const { Err } = await post(rig, 'CreateEndpoint', {
    ...endpoint('e1', 'n1', '10.210.0.5/32'),
    Options: { [PORTMAP]: [{ ...published, Proto: 132 }] },
  });
  assert.match(String(Err), /cannot publish port 80 of protocol 132 \(weir publishes TCP and UDP\)/);
  assert.equal(rig.datapath.specs.size, 0);
});

test('a failure of ours is a 500, with the reason', async () => {
  const rig = driverRig();
  await post(rig, 'CreateNetwork', network('n1'));
  rig.datapath.createEndpoint = () => Promise.reject(new Error('no memory'));
  const response = await request(rig.app)
    .post('/NetworkDriver.CreateEndpoint')
    .send(JSON.stringify(endpoint('e1', 'n1', '10.210.0.5/32')))
    .expect(500);
  assert.match((JSON.parse(response.text) as { Err: string }).Err, /no memory/);
  assert.deepEqual(rig.endpoints.list(), []);
});
