import assert from 'node:assert/strict';
import test from 'node:test';
import type { Datapath } from '../datapath/index.ts';
import { partsOf } from './fakes.ts';
import { bpfViews, lostEvents } from './bpf-views.ts';
import { faults } from './schema-check.ts';

const NEAR = 0xffff_ffff;

/** Maps that have what they are given. */
function datapathWith(maps: Record<string, unknown>, more: object = {}): Datapath {
  const typed = Object.entries(maps).map(([name, entries]) => [name, { entries: () => entries }]);
  const none = { entries: () => [] };
  const object = { maps: { policy: none, ipcache: none, endpoint: none, ...Object.fromEntries(typed) } };
  return partsOf({
    datapath: {
      object,
      policyMap: { generation: 5 },
      endpoints: { list: () => [] },
      ...more,
    },
  }).datapath;
}

const labelsOf = (id: number): string[] => [`label-${id}`];

function shape(name: string): { $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

function policyKey(change: object): object {
  const key = { prefixLength: 104, generation: 5, subject: 256, peer: 0, direction: 1, protocol: 0, port: 0 };
  return { ...key, ...change };
}

const allow = { verdict: 1, scope: 0, proxyPort: 0, rule: 3 };

test('policy entries in words: peers, protocols, ports and ranges of ports; only those in force', () => {
  const policy = [
    [policyKey({}), allow],
    [policyKey({ peer: NEAR, protocol: 17, prefixLength: 112 }), allow],
    [policyKey({ peer: 300, protocol: 6, port: 80, prefixLength: 128 }), allow],
    [
      policyKey({ direction: 2, subject: 257, protocol: 132, port: 8080, prefixLength: 124 }),
      { ...allow, verdict: 2 },
    ],
    [policyKey({ protocol: 47, prefixLength: 112 }), allow],
    [policyKey({}), { ...allow, verdict: 3 }],
    [policyKey({ generation: 4 }), allow],
  ];
  const views = bpfViews(datapathWith({ policy }), labelsOf);
  const inWords = views.policy().map((entry) => {
    const { identity, direction, peerName, protocol, port, verdict } = entry;
    return [identity, direction, peerName, protocol, port, verdict].join(' ');
  });
  assert.deepEqual(inWords, [
    '256 ingress any any any allow',
    '256 ingress same-network UDP any allow',
    '256 ingress label-300 TCP 80 allow',
    '257 egress any SCTP 8080-8095 deny',
    '256 ingress any 47 any allow',
    '256 ingress any any any published',
  ]);
  assert.deepEqual(
    views.policy(257).map(({ identity }) => identity),
    [257],
  );
  assert.deepEqual(faults(shape('BpfPolicyEntry'), views.policy()[0]), []);
});

test('endpoints with their device and what they may not', () => {
  const entry = {
    ifindex: 7,
    identity: 256,
    container: 1,
    id: 9,
    flags: 1,
    mac: 'aa',
    gatewayMac: 'bb',
  };
  const list = [{ ifindex: 7, hostInterface: 'weir9' }];
  const endpoint = [
    ['10.210.0.9', entry],
    ['10.210.0.8', { ...entry, ifindex: 8, flags: 0 }],
    ['10.210.0.7', { ...entry, flags: 3 }],
  ];
  const views = bpfViews(datapathWith({ endpoint }, { endpoints: { list: () => list } }), labelsOf);
  const shown = views.endpoint();
  assert.deepEqual(
    shown.map(({ address, endpoint, flags, ...item }) => [address, endpoint, item.interface, flags]),
    [
      ['10.210.0.9', 9, 'weir9', ['no-world']],
      ['10.210.0.8', 9, '', []],
      ['10.210.0.7', 9, 'weir9', ['no-world', 'audit']],
    ],
  );
  assert.deepEqual(faults(shape('BpfEndpoint'), shown[0]), []);
});

test('counters by reason and direction; lost events are told elsewhere', () => {
  const value = { packets: 3n, bytes: 180n };
  const metrics = [
    [2, value],
    [133 * 4 + 1, value],
    [133 * 4 + 2, { packets: 0n, bytes: 0n }],
    [255 * 4, value],
  ];
  const datapath = datapathWith({ metrics });
  Object.assign(datapath.object.maps.metrics, {
    get: (index: number) => (index === 1020 ? value : undefined),
  });
  const shown = bpfViews(datapath, labelsOf).metrics();
  assert.deepEqual(
    shown.map(({ reason, reasonCode, direction, packets }) => [reason, reasonCode, direction, packets]),
    [
      ['Forwarded', 0, 'egress', 3],
      ['Policy denied', 133, 'ingress', 3],
    ],
  );
  assert.deepEqual(faults(shape('BpfMetric'), shown[0]), []);
  assert.equal(lostEvents(datapath), 3);
});

test('connections by their state, prefixes with who is behind them', async () => {
  const connection = { protocol: 6, source: '10.210.0.9', destination: '10.210.0.8', expiresSeconds: 9 };
  const list = [
    { ...connection, replied: false, closing: false },
    { ...connection, protocol: 1, replied: true, closing: false },
    { ...connection, replied: true, closing: true },
  ];
  const ipcache = [[{ prefixLength: 112, address: '10.210.0.0' }, { identity: 2 }]];
  const datapath = datapathWith({ ipcache }, { conntrack: { list: async () => list } });
  const views = bpfViews(datapath, labelsOf);
  const states = (await views.ct()).map(({ protocol, state }) => `${protocol} ${state}`);
  assert.deepEqual(states, ['TCP new', 'ICMP established', 'TCP closing']);
  assert.deepEqual(views.ipcache(), [{ cidr: '10.210.0.0/16', identity: 2, tunnelEndpoint: '' }]);
});
