import assert from 'node:assert/strict';
import test from 'node:test';
import type { api } from '../base/index.ts';
import type { EndpointView, Network } from '../driver/index.ts';
import { compile, parsePolicy } from '../policy/index.ts';
import { partsOf } from './fakes.ts';
import type { Parts } from './parts.ts';
import { faults } from './schema-check.ts';
import { createState, labelsOfIdentity } from './state.ts';

const RANGE = 0x1000001;
const LABELS = new Map([
  [1, ['reserved:host']],
  [300, ['container:id=web', 'weir:network=app']],
]);

const view: EndpointView = {
  ...{ key: 'e'.repeat(64), endpointId: 7, hostInterface: 'weir7', networkId: 'n1', network: 'app' },
  ...{ containerId: 'c'.repeat(64), containerName: 'web', ipv4: '10.210.0.9', ipv6: 'fd00::9' },
  mac: '02:42:0a:d2:00:09',
  ...{ identity: 300, labels: [], ports: [], audit: false, ipv6: '' },
  state: 'ready',
};
const network: Network = {
  ...{ id: 'n1', name: 'app', space: 2, internal: false, gateway4: '169.254.1.1' },
  isolation: 'network',
  ...{ pools: ['10.210.0.0/24'], createdAt: 0 },
  ports: 'refuse',
};
const networks = [
  network,
  { ...network, id: 'n2', name: 'inner', internal: true, pools: ['10.9.0.0/24'], mtu: 1300 },
];
const rules = parsePolicy(
  JSON.stringify([{ endpointSelector: {}, egress: [{ toEntities: ['world'] }] }]),
  'a.json',
);

const parts: Parts = partsOf({
  identities: { get: (id: number) => ({ labels: LABELS.get(id) }), list: () => [] },
  datapath: {
    ipcache: {
      rangeOf: (id: number) => (id === RANGE ? '192.0.2.0/24' : undefined),
      sources: { host: [], cluster: [] },
    },
    endpoints: {
      list: () => [
        { ...view, addresses: ['10.210.0.9', 'fd00::9'], owner: { identity: 300, containerName: 'web' } },
        { ...view, addresses: ['10.210.0.8'], endpointId: 8 },
      ],
    },
    enforcement: {
      enforced: (id: number) => ({ ingress: id === 300, egress: false }),
      compiled: compile(rules),
      context: { mode: 'default', spaceOf: () => 2 },
    },
    uplinks: { current: [] },
    services: {
      list: () => [
        {
          ...{ id: 1, protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080 },
          ...{ address: '10.210.0.9', port: 80, key: view.key },
        },
      ],
    },
    audit: false,
    object: {
      maps: {
        ipcache: { entries: () => [[{ prefixLength: 120, address: '192.0.2.0' }, { identity: RANGE }]] },
      },
    },
  },
  policy: { revision: 4, rules, select: () => rules },
  networks: { list: () => networks },
  endpoints: { list: () => [view] },
  ipam: {
    list: () => [
      {
        id: 'p1',
        cidr: '10.210.0.0/24',
        subnet: '10.210.0.0/24',
        range: '',
        gateway: '',
        capacity: 254,
        allocated: 1,
        resting: 0,
      },
    ],
  },
  monitor: {},
  labelsOf: (id: number): string[] => labelsOfIdentity(parts, id),
});

const state = createState(parts, []);

function check(name: string, value: unknown): void {
  assert.deepEqual(faults({ $ref: `#/components/schemas/${name}` }, value), []);
}

test('an identity is named by its labels, by the range that it stands for, or not at all', () => {
  assert.deepEqual(labelsOfIdentity(parts, 1), ['reserved:host']);
  assert.deepEqual(labelsOfIdentity(parts, RANGE), ['cidr:192.0.2.0/24']);
  assert.deepEqual(labelsOfIdentity(parts, RANGE + 1), []);
  assert.deepEqual(labelsOfIdentity(parts, 999), []);
});

test('an endpoint with its identity and whether policy decides for it', async () => {
  const [endpoint] = await state.endpoints();
  check('Endpoint', endpoint);
  assert.deepEqual(endpoint?.identity, { id: 300, labels: LABELS.get(300) });
  assert.deepEqual(endpoint?.policy, { ingress: true, egress: false, revision: 4, audit: false });
});

test('networks with the MTU that their containers get; pools with their networks', async () => {
  const [app, inner] = await state.networks();
  check('Network', app);
  assert.deepEqual([app?.mtu, app?.endpoints, inner?.mtu, inner?.endpoints], [1500, 1, 1300, 0]);
  const [pool] = await state.ipam();
  check('Pool', pool);
  assert.deepEqual(pool?.networks, ['app']);
});

test('addresses: endpoints first, also one that is nobody’s yet, then what the datapath knows of others', async () => {
  const addresses = await state.ips();
  check('Address', addresses[0]);
  assert.deepEqual(
    addresses.map(({ cidr, identity, labels, containerName }) => [
      cidr,
      identity,
      labels.length,
      containerName,
    ]),
    [
      ['10.210.0.9/32', 300, 2, 'web'],
      ['fd00::9/128', 300, 2, 'web'],
      ['10.210.0.8/32', 0, 0, ''],
      ['192.0.2.0/24', RANGE, 1, ''],
    ],
  );
});

test('a trace knows who has no way to the world: whoever is on internal networks only', async () => {
  const verdictOf = async (...labels: string[]): Promise<string> => {
    const query = { source: { labels }, destination: { labels: ['reserved:world'] }, dports: [] };
    return (await state.tracePolicy(query)).verdict;
  };
  assert.equal(await verdictOf('container:id=web', 'weir:network=app'), 'allowed');
  assert.equal(await verdictOf('container:id=web', 'weir:network=inner'), 'denied');
  assert.equal(await verdictOf('container:id=web', 'weir:network=inner', 'weir:network=app'), 'allowed');
  assert.equal(await verdictOf('container:id=web'), 'allowed');
});

test('audit of all, or of one endpoint, is what the views and traces say', async () => {
  const settings: api.Setting[] = [{ name: 'policy-audit-mode', value: 'disable', source: 'default' }];
  const audited = createState(parts, settings);
  const query = {
    source: { labels: ['id=x', 'weir:network=app'] },
    destination: { identity: 1 },
    dports: [],
  };
  assert.equal((await audited.tracePolicy(query)).verdict, 'denied');
  assert.deepEqual(await audited.setConfig({ policyAuditMode: 'enable' }), [
    { name: 'policy-audit-mode', value: 'enable', source: 'runtime' },
  ]);
  const result = await audited.tracePolicy(query);
  check('TraceResult', result);
  assert.deepEqual([result.verdict, result.egress, result.ingress], ['audited', 'audited', 'none']);
  assert.match(result.reason, /no rule allows it \(Policy denied\); it passes all the same/);
  assert.equal((await audited.endpoints())[0]?.policy.audit, true);
  assert.deepEqual(await audited.endpointOptions(view.key), { policyAuditMode: 'disable' });
  assert.deepEqual(await audited.setConfig({ policyAuditMode: 'disable' }), settings);
  const own = { ...parts, ...partsOf({ endpoints: { list: () => [{ ...view, audit: true }] } }) };
  const one = createState(own, settings);
  assert.deepEqual(await one.endpointOptions(view.key), { policyAuditMode: 'enable' });
  for (const source of [{ endpoint: 'web' }, { address: view.ipv4 }])
    assert.equal((await one.tracePolicy({ ...query, source })).verdict, 'audited');
  assert.equal((await one.tracePolicy(query)).verdict, 'denied');
});

test('version and settings are what they are', async () => {
  check('Version', await state.version());
  assert.deepEqual(await state.config(), []);
});

test('a published port leads to its container', async () => {
  const [service] = await state.services();
  check('Service', service);
  assert.deepEqual(service, {
    ...{ id: 1, protocol: 'TCP', network: 'app', containerName: 'web', endpoint: 7 },
    ...{ frontend: { address: '0.0.0.0', port: 8080 }, backends: [{ address: '10.210.0.9', port: 80 }] },
    containerId: 'c'.repeat(64),
  });
});
