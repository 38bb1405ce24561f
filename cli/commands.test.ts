import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { api } from '../base/index.ts';
import { fakeAgent, refuse, type Answers } from './fake-agent.ts';
import { client, identities, policy, preview, status, trace, web } from './sample.ts';

const network: api.Network = {
  id: 'a1b2c3d4e5f6a1b2c3d4',
  name: 'app-net',
  subnets: ['10.210.0.0/24', 'fd00::/64'],
  gateways: ['169.254.1.1'],
  isolation: 'network',
  internal: false,
  mtu: 1500,
  endpoints: 2,
};
const pool: api.Pool = {
  id: 'default',
  cidr: '10.210.0.0/16',
  range: '10.210.0.0/24',
  gateway: '',
  networks: ['app-net', 'back'],
  capacity: 254,
  allocated: 2,
  resting: 1,
};
const addresses: api.Address[] = [
  {
    cidr: '10.210.0.2/32',
    identity: 264,
    labels: ['container:id=app1'],
    containerName: 'app1',
    endpoint: 12,
  },
  { cidr: '0.0.0.0/0', identity: 2, labels: ['reserved:world'], containerName: '', endpoint: 0 },
];
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
const service: api.Service = {
  id: 3,
  protocol: 'TCP',
  frontend: { address: '::', port: 8080 },
  backends: [{ address: 'fd00::2', port: 80 }],
  network: 'app-net',
  containerId: 'c0ffee',
  containerName: 'app1',
  endpoint: 12,
};
const published: api.BpfService = {
  id: 3,
  protocol: 'UDP',
  address: '0.0.0.0',
  port: 5353,
  backendAddress: '10.210.0.2',
  backendPort: 53,
};
const daemon: api.Version = { version: '0.1.0', api: 'v1', node: '20.20.2', kernel: '6.6.1' };

const ANSWERS: Answers = {
  'GET /v1/status': status,
  'GET /v1/version': daemon,
  'GET /v1/config': [{ name: 'policy-mode', value: 'always', source: 'file' }] satisfies api.Setting[],
  'GET /v1/endpoints': [client, web],
  'GET /v1/endpoints?labels=id%3Dapp1': [web],
  'GET /v1/endpoints/12': web,
  'GET /v1/identities': identities,
  'GET /v1/identities?labels=id%3Dapp1': [identities[1]],
  'GET /v1/identities/264': identities[1],
  'GET /v1/policy': policy,
  'GET /v1/policy?labels=a&labels=b': { revision: 3, rules: [] },
  'DELETE /v1/policy?labels=a': { revision: 4, count: 1 },
  'DELETE /v1/policy?all=true': { revision: 5, count: 3 },
  'GET /v1/endpoints/app1/config': { policyAuditMode: 'disable' },
  'PATCH /v1/endpoints/app1/config': { policyAuditMode: 'enable' },
  'PATCH /v1/config': [{ name: 'policy-audit-mode', value: 'enable', source: 'runtime' }],
  'POST /v1/policy/preview': preview,
  'POST /v1/policy/trace': trace,
  'GET /v1/policy/wait?revision=3&timeoutMs=360000': { revision: 3, reached: true },
  'GET /v1/policy/wait?revision=9&timeoutMs=1000': { revision: 3, reached: false },
  'GET /v1/networks': [network],
  'GET /v1/ipam': [pool, { ...pool, cidr: 'fd00::/48', range: 'fd00::/64', capacity: 2 ** 64 }],
  'GET /v1/ips': addresses,
  'GET /v1/services': [service],
  'GET /v1/services/3': service,
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

/** What each command prints, line for line. */
const GOLDEN: { line: string; code?: number; out: string }[] = [
  {
    line: 'status',
    out: `
kvstore:   Ok        embedded, 12 keys
uplink:    Warning   none: world is denied

Overall:   Warning`,
  },
  {
    line: 'status -v',
    out: `
kvstore:   Ok        embedded, 12 keys
                     file: /var/lib/weir/store.json
uplink:    Warning   none: world is denied

Overall:   Warning`,
  },
  { line: 'status --brief', out: '\nwarning; uplink: none: world is denied' },
  {
    line: 'endpoint list',
    out: `
ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY   LABELS (source:key[=value])   IPv6      IPv4         STATUS   CONTAINER
           ENFORCEMENT        ENFORCEMENT
4          Disabled (Audit)   Disabled          261        weir:network=app-net                    10.210.0.4   ready    app3
12         Enabled            Disabled          264        container:id=app1             fd00::2   10.210.0.2   ready    app1
                                                           weir:network=app-net`,
  },
  {
    line: 'endpoint list --no-headers -l id=app1',
    out: `
12   Enabled   Disabled   264   container:id=app1      fd00::2   10.210.0.2   ready   app1
                                weir:network=app-net`,
  },
  {
    line: 'endpoint get 12',
    out: `
Endpoint:          12
State:             ready
Container:         app1 c0ffee001122
Network:           app-net
Docker endpoint:   e0ffee001122
IPv4:              10.210.0.2
IPv6:              fd00::2
MAC:               02:42:0a:d2:00:02
Interface:         weir12
Identity:          264
Labels:            container:id=app1
                   weir:network=app-net
Policy ingress:    Enabled
Policy egress:     Disabled
Policy revision:   3`,
  },
  {
    line: 'identity list',
    out: `
ID    LABELS                 ENDPOINTS
1     reserved:host          0
264   container:id=app1      1
      weir:network=app-net`,
  },
  {
    line: 'identity get 264',
    out: `
Identity:    264
Labels:      container:id=app1
             weir:network=app-net
Endpoints:   1`,
  },
  {
    line: 'policy get',
    out: `
[
  {
    "endpointSelector": {
      "matchLabels": {
        "id": "app1"
      }
    }
  }
]
Revision: 3`,
  },
  { line: 'policy get a b', out: '\n[]\nRevision: 3' },
  { line: 'policy delete a', out: '\nRevision: 4' },
  { line: 'policy delete --all', out: '\nRevision: 5' },
  { line: 'policy wait 3', out: '\nRevision: 3' },
  { line: 'policy wait 9 --max-wait-time 1', code: 1, out: '\nRevision 9 is not enforced yet, 3 is' },
  { line: 'endpoint config app1', out: '\nPolicyAuditMode:   Disabled' },
  { line: 'endpoint config app1 PolicyAuditMode=enable', out: '\nPolicyAuditMode:   Enabled' },
  {
    line: 'config policyauditmode=Enabled',
    out: `
NAME                VALUE    SOURCE
policy-audit-mode   enable   runtime`,
  },
  {
    line: 'policy import - --dry-run',
    out: `
Dry run: 1 rule read, 1 would come and 0 would go; revision 3 stays in force

New connections:
THEN      FROM                 TO                   WHAT
denied    world                a, b, c and 1 more   everything but TCP, UDP
allowed   a, b, c and 1 more   192.0.2.0/24         80-90/TCP
allowed   a, b, c and 1 more   192.0.2.0/24         all UDP
… and 7 more

Live connections, with their next packet:
THEN      FROM                    TO             PROTOCOL
denied    [fd00::4]:4242 (app3)   192.0.2.1:80   TCP
allowed   10.210.0.4 (app3)       10.210.0.1     ICMPv4`,
  },
  {
    line: 'policy trace -s id=app3 --dst id=app1 -v',
    out: '\n* Rule 2: selected',
  },
  {
    line: 'policy trace -s id=app3 -s env=test --dst id=app1 --dport 80/tcp --dport 53',
    out: `
----------------------------------------------------------------
Tracing From: [id=app3 env=test] => To: [id=app1] Ports: [80/TCP 53/ANY]
  ingress: rule 2 (container:name=web) says deny

Egress verdict: none
Ingress verdict: denied
Reason: no rule of the destination allows it
Final verdict: DENIED`,
  },
  {
    line: 'network list',
    out: `
NAME      ID             SUBNETS         GATEWAYS      ISOLATION   INTERNAL   MTU    ENDPOINTS
app-net   a1b2c3d4e5f6   10.210.0.0/24   169.254.1.1   network     no         1500   2
                         fd00::/64`,
  },
  {
    line: 'ipam list',
    out: `
POOL            RANGE           GATEWAY   NETWORKS   ALLOCATED   RESTING   CAPACITY
10.210.0.0/16   10.210.0.0/24             app-net    2           1         254
                                          back
fd00::/48       fd00::/64                 app-net    2           1         2^64
                                          back`,
  },
  {
    line: 'ip list',
    out: `
IP PREFIX/ADDRESS   IDENTITY   LABELS              ENDPOINT   CONTAINER
10.210.0.2/32       264        container:id=app1   12         app1
0.0.0.0/0           2          reserved:world`,
  },
  {
    line: 'service list',
    out: `
ID   FRONTEND    PROTOCOL   BACKEND        CONTAINER
3    [::]:8080   TCP        [fd00::2]:80   app1`,
  },
  {
    line: 'service get 3',
    out: `
Service:     3
Frontend:    [::]:8080/TCP
Backends:    [fd00::2]:80
Container:   app1
Network:     app-net
Endpoint:    12`,
  },
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
  {
    line: 'config',
    out: `
NAME          VALUE    SOURCE
policy-mode   always   file`,
  },
  {
    line: 'version',
    out: `
Client:   0.1.0 (node ${process.versions.node})
Daemon:   0.1.0 (API v1, node 20.20.2, kernel 6.6.1)`,
  },
  { line: `endpoint list -o jsonpath='{[*].id}'`, out: '\n4 12' },
  { line: `policy wait 3 -o jsonpath={.revision}`, out: '\n3' },
];

for (const { line, code = 0, out } of GOLDEN) {
  test(`weir ${line}`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    assert.deepEqual(await agent.weir(line), { code, out: `${out.slice(1)}\n`, err: '' });
  });
}

for (const { line, want } of [
  { line: 'status', want: status },
  { line: 'endpoint list', want: [client, web] },
  { line: 'endpoint get 12', want: web },
  { line: 'endpoint get -l id=app1', want: [web] },
  { line: 'identity list id=app1', want: [identities[1]] },
  { line: 'identity get --label id=app1', want: [identities[1]] },
  { line: 'policy get', want: policy },
  { line: 'policy import - --dry-run', want: preview },
  { line: 'policy trace --src-endpoint 4 --dst-endpoint app1', want: trace },
  { line: 'bpf ct list', want: [connection] },
  { line: 'service list', want: [service] },
  { line: 'version', want: { client: { version: '0.1.0', node: process.versions.node }, daemon } },
]) {
  test(`weir ${line} -o json is the API's shape`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    const { code, out, err } = await agent.weir(`${line} -o json`);
    assert.deepEqual({ code, value: JSON.parse(out) as unknown, err }, { code: 0, value: want, err: '' });
  });
}

test('a trace asks with what the flags say', async () => {
  await using agent = await fakeAgent(ANSWERS);
  await agent.weir('policy trace -s a=1 --src b --dst-endpoint app1 --dport 80/tcp --dport 0/UDP');
  const ports = [
    { port: 80, protocol: 'TCP' },
    { port: 0, protocol: 'UDP' },
  ];
  const body = { source: { labels: ['a=1', 'b'] }, destination: { endpoint: 'app1' }, dports: ports };
  assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/trace', body }]);
});

for (const { line, body } of [
  {
    line: '--src container-name:web --dst endpoint:12 --dport 8/icmp --dport 128/ICMPv6 --dport 9/sctp',
    body: {
      source: { endpoint: 'container-name:web' },
      destination: { endpoint: '12' },
      dports: [
        { port: 8, protocol: 'ICMP' },
        { port: 128, protocol: 'ICMPv6' },
        { port: 9, protocol: 'SCTP' },
      ],
    },
  },
  {
    line: '--src-identity 300 --dst 192.0.2.1',
    body: { source: { identity: 300 }, destination: { address: '192.0.2.1' }, dports: [] },
  },
  {
    line: '--src cidr:10.0.0.0/8 --dst 2001:db8::/64',
    body: { source: { address: '10.0.0.0/8' }, destination: { address: '2001:db8::/64' }, dports: [] },
  },
  {
    line: '--src a:b=1 --src 10 --dst reserved:host',
    body: { source: { labels: ['a:b=1', '10'] }, destination: { labels: ['reserved:host'] }, dports: [] },
  },
]) {
  test(`weir policy trace ${line} asks for that`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    assert.equal((await agent.weir(`policy trace ${line}`)).code, 0);
    assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/trace', body }]);
  });
}

for (const [line, said] of [
  ['--src a=1', 'the destination is missing'],
  ['--src a=1 --src-identity 300 --dst b', 'the source is given twice'],
  ['--src a=1 --src 192.0.2.1 --dst b', '--src names an endpoint or an address, and more'],
  ['--src a --dst b --dport 256/icmp', 'For ICMP it ends at 255'],
  ['--src a --dst b --dport 80/icmpv7', 'as in 80/tcp'],
  ['--src-identity web --dst b', 'number of an identity'],
] as const) {
  test(`weir policy trace ${line} is refused`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    const { code, err } = await agent.weir(`policy trace ${line}`);
    assert.equal(code, 2);
    assert.match(err, new RegExp(said));
    assert.deepEqual(agent.requests, []);
  });
}

for (const line of [
  'config A=b',
  'endpoint config app1 PolicyAuditMode=maybe',
  'config PolicyAuditMode=enable x=y',
]) {
  test(`weir ${line} is refused`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    assert.equal((await agent.weir(line)).code, 2);
    assert.deepEqual(agent.requests, []);
  });
}

test('an option is sent as it is meant', async () => {
  await using agent = await fakeAgent(ANSWERS);
  await agent.weir('endpoint config app1 PolicyAuditMode=disable');
  const body = { policyAuditMode: 'disable' };
  assert.deepEqual(agent.requests, [{ line: 'PATCH /v1/endpoints/app1/config', body }]);
});

test('a dry run that changes nothing says so, and sends what an import would', async () => {
  const calm = { ...preview, changes: [], connections: [], moreChanges: 0 };
  await using agent = await fakeAgent({ 'POST /v1/policy/preview': calm });
  const { code, out } = await agent.weir('policy import - --dry-run --replace-all', { stdin: '[]' });
  assert.equal(code, 0);
  assert.match(out, /No new connection would be judged otherwise\.\n\nNo live connection would/);
  const body = { files: [{ name: 'stdin', text: '[]' }], replaceAll: true };
  assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/preview', body }]);
});

test('status exits 1 on a failure', async () => {
  await using agent = await fakeAgent({ 'GET /v1/status': { ...status, state: 'failure' } });
  assert.equal((await agent.weir('status --brief')).code, 1);
  assert.equal((await agent.weir('status -o json')).code, 1);
});

test('what the agent refuses is its words on one line, exit 1', async () => {
  const body = {
    code: 'ENDPOINT_NOT_FOUND',
    message: 'no endpoint "9\u001b[31m"',
    hint: 'name it by number',
  };
  await using agent = await fakeAgent({ 'GET /v1/endpoints/9': refuse(404, body) });
  assert.deepEqual(await agent.weir('endpoint get 9'), {
    code: 1,
    out: '',
    err: 'weir: no endpoint "9 [31m" (name it by number)\n',
  });
});

test('labels cannot command the terminal', async () => {
  const identity = { id: 300, labels: ['container:a=\u001b]0;owned\u0007\n'], endpoints: 1 };
  await using agent = await fakeAgent({ 'GET /v1/identities': [identity] });
  assert.equal((await agent.weir('identity list')).out.split('\n')[1], '300   container:a= ]0;owned    1');
});

test('something else on the socket is told from an agent', async () => {
  const page = (response: { end(text: string): void }): void => response.end('<html>');
  await using agent = await fakeAgent({ 'GET /v1/status': page });
  const { code, err } = await agent.weir('status');
  assert.equal(code, 1);
  assert.match(err, /^weir: what answers at \S+ is not a weir agent\n$/);
});
