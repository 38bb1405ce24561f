/** What the fake agent of the tests knows, in the shapes of the API. */
import type { api } from '../base/index.ts';

export const web: api.Endpoint = {
  id: 12,
  network: 'app-net',
  containerId: 'c0ffee00112233445566778899aabbccddeeff00112233445566778899aabbcc',
  containerName: 'app1',
  endpointId: 'e0ffee00112233445566778899aabbccddeeff00112233445566778899aabbcc',
  ipv4: '10.210.0.2',
  ipv6: 'fd00::2',
  mac: '02:42:0a:d2:00:02',
  identity: { id: 264, labels: ['container:id=app1', 'weir:network=app-net'] },
  state: 'ready',
  policy: { ingress: true, egress: false, revision: 3, audit: false },
  interface: 'weir12',
};

export const client: api.Endpoint = {
  ...web,
  id: 4,
  containerName: 'app3',
  ipv4: '10.210.0.4',
  ipv6: '',
  identity: { id: 261, labels: ['weir:network=app-net'] },
  policy: { ingress: true, egress: false, revision: 3, audit: true },
  interface: 'weir4',
};

export const status: api.Status = {
  state: 'warning',
  components: {
    kvstore: { state: 'ok', message: 'embedded, 12 keys', details: { file: '/var/lib/weir/store.json' } },
    uplink: { state: 'warning', message: 'none: world is denied' },
  },
};

export const identities: api.Identity[] = [
  { id: 1, labels: ['reserved:host'], endpoints: 0 },
  { id: 264, labels: ['container:id=app1', 'weir:network=app-net'], endpoints: 1 },
];

export const policy: api.Policy = {
  revision: 3,
  rules: [{ endpointSelector: { matchLabels: { id: 'app1' } } }],
};

export const trace: api.TraceResult = {
  verdict: 'denied',
  ingress: 'denied',
  egress: 'none',
  matched: [{ direction: 'ingress', rule: 2, labels: ['container:name=web'], verdict: 'deny' }],
  reason: 'no rule of the destination allows it',
  lines: ['* Rule 2: selected'],
};

const worldPeer: api.PreviewPeer = { identity: 2, labels: ['reserved:world'], containers: [] };
const manyPeer: api.PreviewPeer = {
  identity: 264,
  labels: ['container:id=app1'],
  containers: ['a', 'b', 'c', 'd'],
};
const rangePeer: api.PreviewPeer = { identity: 0, labels: ['cidr:192.0.2.0/24'], containers: [] };

export const preview: api.PolicyPreview = {
  ...{ revision: 3, count: 1, added: 1, removed: 0, moreChanges: 7, moreConnections: 0 },
  changes: [
    {
      source: worldPeer,
      destination: manyPeer,
      ...{ protocol: 'any', except: ['TCP', 'UDP'], ports: 'any', after: 'denied' },
    },
    {
      source: manyPeer,
      destination: rangePeer,
      ...{ protocol: 'TCP', except: [], ports: '80-90', after: 'allowed' },
    },
    { source: manyPeer, destination: rangePeer, protocol: 'UDP', except: [], ports: 'any', after: 'allowed' },
  ],
  connections: [
    {
      ...{ protocol: 'TCP', before: 'allowed', after: 'denied' },
      source: { ip: 'fd00::4', port: 4242, identity: 261, labels: [], containerName: 'app3' },
      destination: { ip: '192.0.2.1', port: 80, identity: 2, labels: ['reserved:world'] },
    },
    {
      ...{ protocol: 'ICMPv4', before: 'denied', after: 'allowed' },
      source: { ip: '10.210.0.4', identity: 261, labels: [], containerName: 'app3' },
      destination: { ip: '10.210.0.1', identity: 1, labels: ['reserved:host'] },
    },
  ],
};

export const drop: api.Flow = {
  time: '2026-01-02T03:04:05.000000006Z',
  type: 'drop',
  verdict: 'dropped',
  reason: 'Policy denied',
  reasonCode: 133,
  direction: 'ingress',
  source: {
    ip: '10.210.0.4',
    port: 4242,
    identity: 261,
    labels: ['weir:network=app-net'],
    endpointId: 4,
    containerName: 'app3',
  },
  destination: {
    ip: '10.210.0.2',
    port: 80,
    identity: 264,
    labels: ['container:id=app1'],
    endpointId: 12,
    containerName: 'app1',
  },
  protocol: 'TCP',
  tcpFlags: ['SYN'],
  ctState: 'new',
  rule: 0,
  ruleLabels: [],
  policyRevision: 3,
  length: 74,
  interface: 'weir4',
  summary: '10.210.0.4:4242 -> 10.210.0.2:80 tcp SYN',
};
