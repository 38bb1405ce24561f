import type { api } from '../base/index.ts';
import type { Answers } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';
import { web } from './sample.ts';

const entry: api.BpfPolicyEntry = {
  identity: 264,
  direction: 'ingress',
  peer: 261,
  peerName: 'container:id=app2',
  protocol: 'TCP',
  port: '80',
  verdict: 'allow',
  rule: 1,
  generation: 3,
};
const connection: api.BpfConnection = {
  protocol: 'TCP',
  source: 'fd00::4',
  sourcePort: 4242,
  destination: '10.210.0.2',
  destinationPort: 80,
  sourceIdentity: 261,
  destinationIdentity: 264,
  state: 'established',
  generation: 3,
  expiresInSeconds: 60,
};
const published: api.BpfService = {
  id: 3,
  protocol: 'UDP',
  address: '0.0.0.0',
  port: 5353,
  backendAddress: '10.210.0.2',
  backendPort: 53,
};

const ANSWERS: Answers = {
  'GET /v1/bpf/lb': [published],
  'GET /v1/bpf/policy': [entry],
  'GET /v1/bpf/policy?endpoint=app1': [{ ...entry, rule: 0, port: 'any', protocol: 'ANY' }],
  'GET /v1/bpf/ct': [connection],
  'GET /v1/bpf/ipcache': [{ cidr: '10.210.0.2/32', identity: 264, tunnelEndpoint: '' }],
  'GET /v1/bpf/endpoint': [
    {
      address: '10.210.0.2',
      endpoint: 12,
      identity: 264,
      interface: 'weir12',
      ifindex: 7,
      mac: web.mac,
      flags: ['no-world'],
    },
  ],
  'GET /v1/bpf/metrics': [
    { reason: 'Policy denied', reasonCode: 133, direction: 'ingress', packets: 3, bytes: 222 },
  ],
};

prints(ANSWERS, [
  {
    line: 'bpf lb list',
    out: `
SERVICE ADDRESS   PROTO   BACKEND ADDRESS   ID
0.0.0.0:5353      UDP     10.210.0.2:53     3`,
  },
  {
    line: 'bpf policy list',
    out: `
IDENTITY   DIRECTION   PEER   LABELS              PORT/PROTO   VERDICT   RULE   GENERATION
264        ingress     261    container:id=app2   80/TCP       allow     1      3`,
  },
  {
    line: 'bpf policy get app1',
    out: `
IDENTITY   DIRECTION   PEER   LABELS              PORT/PROTO   VERDICT   RULE      GENERATION
264        ingress     261    container:id=app2   any/ANY      allow     default   3`,
  },
  {
    line: 'bpf ct list',
    out: `
PROTO   SOURCE           DESTINATION     IDENTITY   STATE         GENERATION   EXPIRES
TCP     [fd00::4]:4242   10.210.0.2:80   261->264   established   3            60s`,
  },
  {
    line: 'bpf ipcache list',
    out: `
IP PREFIX/ADDRESS   IDENTITY   TUNNEL
10.210.0.2/32       264`,
  },
  {
    line: 'bpf endpoint list',
    out: `
IP ADDRESS   LOCAL ENDPOINT INFO
10.210.0.2   id=12 identity=264 ifindex=7 interface=weir12 mac=02:42:0a:d2:00:02 no-world`,
  },
  {
    line: 'bpf metrics list',
    out: `
REASON          DIRECTION   PACKETS   BYTES
Policy denied   ingress     3         222`,
  },
]);

printsJson(ANSWERS, [{ line: 'bpf ct list', want: [connection] }]);
