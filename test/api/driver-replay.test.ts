/** Every NetworkDriver call that two versions of dockerd made, in the recorded order: answered in form, state as it must be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import request from 'supertest';
import { type DriverRig, driverRig } from './driver-rig.ts';
import { DOCKER_VERSIONS, loadScenarios, type RecordedRequest, type Scenario } from './traces.ts';

type Json = Record<string, unknown>;

/** What the driver must have at the end: what it accepted, less what was deleted. */
interface Model {
  networks: Set<string>;
  endpoints: Map<string, { network: string; addresses: (string | undefined)[]; ports: number[] }>;
  joined: Set<string>;
}

const REFUSALS = /\[(ADDRESSES_REQUIRED|OPTION_UNKNOWN|NETWORK_UNKNOWN|ENDPOINT_UNKNOWN|BAD_REQUEST)\]$/;

const ID = /^[0-9a-z]{25,64}$/;

/** The form that each answer must have. */
const FORMS: Record<string, (answer: Json, asked: Json) => void> = {
  GetCapabilities: (answer) =>
    assert.deepEqual(answer, { Scope: 'local', ConnectivityScope: 'global', GwAllocChecker: true }),
  GwAllocCheck: (answer) => assert.deepEqual(answer, { SkipIPv4: true, SkipIPv6: true }),
  AllocateNetwork: (answer) => assert.deepEqual(answer, { Options: {} }),
  EndpointOperInfo: (answer) => assert.deepEqual(answer, { Value: {} }),
  CreateEndpoint: (answer, asked) => {
    const mac = (asked['Interface'] as Json)['MacAddress'];
    if (mac === '')
      assert.match(JSON.stringify(answer), /^\{"Interface":\{"MacAddress":"02:77(:[0-9a-f]{2}){4}"\}\}$/);
    else assert.deepEqual(answer, { Interface: {} });
  },
  Join: (answer) => {
    const { InterfaceName, Gateway, GatewayIPv6, StaticRoutes } = answer as {
      InterfaceName: Json;
      Gateway?: string;
      GatewayIPv6?: string;
      StaticRoutes: Json[];
    };
    const gateways = [Gateway && 'Gateway', GatewayIPv6 && 'GatewayIPv6'].filter(Boolean);
    assert.ok(gateways.length > 0);
    assert.deepEqual(Object.keys(answer), [
      'InterfaceName',
      ...gateways,
      'StaticRoutes',
      'DisableGatewayService',
    ]);
    assert.match(String(InterfaceName['SrcName']), /^wc\d+$/);
    assert.deepEqual([InterfaceName['DstPrefix'], answer['DisableGatewayService']], ['eth', true]);
    if (Gateway !== undefined)
      assert.deepEqual(StaticRoutes[0], { Destination: `${Gateway}/32`, RouteType: 1, NextHop: '' });
  },
};

/** Docker deletes no network that has endpoints: those that are left are not there any more. */
function deleteNetwork(model: Model, id: string): void {
  model.networks.delete(id);
  for (const [endpoint, { network }] of model.endpoints) {
    if (network !== id) continue;
    model.endpoints.delete(endpoint);
    model.joined.delete(endpoint);
  }
}

/** An address that comes again was given up, whether Docker told so or not. */
function createEndpoint(model: Model, asked: Json): void {
  const { Address, AddressIPv6 } = asked['Interface'] as Record<string, string>;
  const addresses = [Address, AddressIPv6].filter((address) => address !== undefined && address !== '');
  for (const [endpoint, other] of model.endpoints)
    if (addresses.some((address) => other.addresses.includes(address))) model.endpoints.delete(endpoint);
  model.endpoints.set(String(asked['EndpointID']), {
    network: String(asked['NetworkID']),
    addresses,
    ports: [],
  });
}

/** Ports of the containers that are published. */
function setPorts(model: Model, endpoint: string, options: Json): void {
  const known = model.endpoints.get(endpoint);
  const portmap = (options['com.docker.network.portmap'] ?? []) as { Port: number }[];
  if (known !== undefined) known.ports = portmap.map(({ Port }) => Port);
}

function applyTo(model: Model, method: string, asked: Json): void {
  const [network, endpoint] = [String(asked['NetworkID']), String(asked['EndpointID'])];
  if (method === 'CreateNetwork') model.networks.add(network);
  if (method === 'DeleteNetwork') deleteNetwork(model, network);
  if (method === 'CreateEndpoint') createEndpoint(model, asked);
  if (method === 'Join') model.joined.add(endpoint);
  if (method === 'ProgramExternalConnectivity') setPorts(model, endpoint, asked['Options'] as Json);
  if (method === 'RevokeExternalConnectivity') setPorts(model, endpoint, {});
  if (method === 'Leave' || method === 'DeleteEndpoint') model.joined.delete(endpoint);
  if (method === 'DeleteEndpoint') model.endpoints.delete(endpoint);
}

function assertState(rig: DriverRig, model: Model): void {
  const sorted = (keys: Iterable<string>): string[] => [...keys].sort();
  const recorded = [...rig.records.kept.keys()].filter((key) => !key.startsWith('identities/'));
  const expected = [
    ...[...model.networks].map((id) => `networks/${id}`),
    ...[...model.endpoints.keys()].map((id) => `endpoints/${id}`),
  ];
  assert.deepEqual(sorted(recorded), sorted(expected));
  assert.deepEqual(sorted(rig.networks.list().map((network) => network.id)), sorted(model.networks));
  assert.deepEqual(
    sorted(rig.endpoints.list().map((endpoint) => endpoint.key)),
    sorted(model.endpoints.keys()),
  );
  assert.deepEqual(sorted(rig.datapath.specs.keys()), sorted(model.endpoints.keys()));
  const ready = rig.endpoints.list().filter((endpoint) => endpoint.state === 'ready');
  assert.deepEqual(sorted(ready.map((endpoint) => endpoint.key)), sorted(model.joined));
  for (const { key, identity } of ready) assert.equal(rig.datapath.owners.get(key)?.identity, identity);
  const portsOf = (ports: number[]): string => ports.toSorted((a, b) => a - b).join();
  for (const { key, ports } of rig.endpoints.list())
    assert.equal(portsOf(ports.map(({ port }) => port)), portsOf(model.endpoints.get(key)?.ports ?? []));
}

async function call(
  rig: DriverRig,
  model: Model,
  { method, raw, body = {} }: RecordedRequest,
): Promise<string | undefined> {
  const response = await request(rig.app)
    .post(`/${method}`)
    .set('Accept', 'application/vnd.docker.plugins.v1.2+json')
    .send(raw || undefined);
  const answer = JSON.parse(response.text) as Json;
  const name = method.replace('NetworkDriver.', '');
  if ('Err' in answer) {
    assert.match(String(answer['Err']), REFUSALS, `${method} ${raw}`);
    assert.doesNotMatch(String(answer['Err']), /\n/);
    assert.equal(response.status, String(answer['Err']).endsWith('[BAD_REQUEST]') ? 400 : 200);
    return String(answer['Err']);
  }
  assert.equal(response.status, 200);
  (FORMS[name] ?? (() => assert.deepEqual(answer, {}, method)))(answer, body);
  applyTo(model, name, body);
  return undefined;
}

/** The same call without what weir refuses for now, so that the rest of the scenario is seen too. */
function eased(line: RecordedRequest): RecordedRequest {
  if (line.body === undefined) return line;
  const body = structuredClone(line.body) as Json & { Options?: Json; Interface?: Json };
  if (line.method === 'NetworkDriver.CreateNetwork') {
    const data = body['IPv4Data'] as unknown[];
    if (JSON.stringify(data).includes('"0.0.0.0/0"')) body['IPv4Data'] = [{ Pool: '10.85.0.0/24' }];
    body.Options = { ...body.Options, 'com.docker.network.generic': {} };
  }
  if (body.Interface !== undefined) {
    const isBare = body.Interface['Address'] === '' && body.Interface['AddressIPv6'] === '';
    if (isBare) body.Interface = { ...body.Interface, Address: '10.85.0.77/24' };
    body.Options = Object.fromEntries(
      Object.entries(body.Options ?? {}).filter(([key]) => !/^weir\.|\.ifname$/.test(key)),
    );
  }
  return { ...line, body, raw: JSON.stringify(body) };
}

async function replay(scenario: Scenario, change: (line: RecordedRequest) => RecordedRequest) {
  const rig = driverRig();
  const model: Model = { networks: new Set(), endpoints: new Map(), joined: new Set() };
  const refused: string[] = [];
  let calls = 0;
  for (const line of scenario.lines) {
    if (line.kind !== 'request' || !line.method.startsWith('NetworkDriver.')) continue;
    const error = await call(rig, model, change(line));
    if (error !== undefined) refused.push(error);
    calls++;
  }
  assertState(rig, model);
  return { model, refused, calls };
}

for (const version of DOCKER_VERSIONS) {
  const scenarios = loadScenarios(version);

  test(`dockerd ${version}: every recorded call is answered in form`, async () => {
    let calls = 0;
    for (const scenario of scenarios) calls += (await replay(scenario, (line) => line)).calls;
    assert.ok(calls > 500, `only ${calls} calls were recorded`);
  });

  for (const scenario of scenarios) {
    test(`dockerd ${version}: ${scenario.name}, within what weir supports`, async () => {
      const { model, refused } = await replay(scenario, eased);
      const isAboutLostState = (error: string): boolean =>
        /\[(NETWORK_UNKNOWN|ENDPOINT_UNKNOWN|BAD_REQUEST)\]$/.test(error);
      assert.deepEqual(
        refused.filter((error) => !isAboutLostState(error)),
        [],
      );
      for (const id of [...model.networks, ...model.endpoints.keys()]) assert.match(id, ID);
    });
  }
}
