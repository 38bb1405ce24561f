/** An agent made of constants, for the tests of the API: two endpoints, three identities, one rule. */
import { UserError, type api } from '../base/index.ts';
import type { FlowSink } from '../observe/index.ts';
import type { AgentState } from './api-state.ts';

function endpoint(change: Pick<api.Endpoint, 'id'> & Partial<api.Endpoint>): api.Endpoint {
  return {
    network: 'app-net',
    containerId: `c0ffee${change.id}`.padEnd(64, '0'),
    containerName: `app${change.id}`,
    endpointId: `e${change.id}`.padEnd(64, '0'),
    ipv4: `10.210.0.${change.id}`,
    ipv6: '',
    mac: `02:42:0a:d2:00:0${change.id}`,
    identity: { id: 256 + change.id, labels: [`container:id=app${change.id}`, 'weir:network=app-net'] },
    state: 'ready',
    policy: { ingress: true, egress: false, revision: 1, audit: false },
    interface: `weir${change.id}`,
    ...change,
  };
}

const BOTH_NETWORKS: api.IdentityRef = {
  id: 258,
  labels: ['container:id=app2', 'weir:network=app-net', 'weir:network=back'],
};

export const sampleEndpoints: api.Endpoint[] = [
  endpoint({ id: 1 }),
  endpoint({ id: 2, identity: BOTH_NETWORKS }),
  endpoint({ id: 3, containerName: 'app2', network: 'back', ipv6: 'fd00::3', identity: BOTH_NETWORKS }),
];

export const sampleFlow: api.Flow = {
  time: '2026-01-02T03:04:05.000000006Z',
  type: 'drop',
  verdict: 'dropped',
  reason: 'Policy denied',
  reasonCode: 133,
  direction: 'ingress',
  source: {
    ip: '10.210.0.2',
    port: 4242,
    identity: 258,
    labels: ['container:id=app2'],
    endpointId: 2,
    containerName: 'app2',
  },
  destination: {
    ip: '10.210.0.1',
    port: 80,
    identity: 257,
    labels: [],
    endpointId: 1,
    containerName: 'app1',
  },
  protocol: 'TCP',
  tcpFlags: ['SYN'],
  ctState: 'new',
  rule: 0,
  ruleLabels: [],
  policyRevision: 1,
  length: 74,
  interface: 'weir1',
  summary: '10.210.0.2:4242 -> 10.210.0.1:80 tcp SYN',
};

const bpf: AgentState['bpf'] = {
  policy: (subjectIdentity = 257) => [
    {
      identity: subjectIdentity,
      direction: 'ingress',
      peer: 258,
      peerName: 'container:id=app2',
      protocol: 'TCP',
      port: '80',
      verdict: 'allow',
      rule: 1,
      generation: 1,
    },
  ],
  ct: () => [
    {
      protocol: 'TCP',
      source: '10.210.0.2',
      sourcePort: 4242,
      destination: '10.210.0.1',
      destinationPort: 80,
      sourceIdentity: 258,
      destinationIdentity: 257,
      state: 'established',
      generation: 1,
      expiresInSeconds: 21_600,
    },
  ],
  ipcache: () => [{ cidr: '10.210.0.1/32', identity: 257, tunnelEndpoint: '' }],
  endpoint: () => [
    {
      address: '10.210.0.1',
      endpoint: 1,
      identity: 257,
      interface: 'weir1',
      ifindex: 7,
      mac: '02:42:0a:d2:00:01',
      flags: [],
    },
  ],
  lb: () => [
    {
      id: 1,
      protocol: 'TCP',
      address: '0.0.0.0',
      port: 8080,
      backendAddress: '10.210.0.1',
      backendPort: 80,
    },
  ],
  metrics: () => [{ reason: 'Policy denied', reasonCode: 133, direction: 'ingress', packets: 3, bytes: 222 }],
};

const inspect: Omit<AgentState, 'bpf' | 'flows' | `${string}Policy` | 'policy' | 'waitRevision'> = {
  status: () => ({
    state: 'ok',
    components: { kvstore: { state: 'ok', message: 'embedded', details: { keys: 3 } } },
  }),
  version: () => ({ version: '0.1.0', api: 'v1', node: '20.20.2', kernel: '6.6.0' }),
  config: () => [{ name: 'policy-mode', value: 'default', source: 'default' }],
  setConfig: ({ policyAuditMode }) => [
    { name: 'policy-audit-mode', value: policyAuditMode, source: 'runtime' },
  ],
  endpointOptions: () => ({ policyAuditMode: 'disable' }),
  setEndpointOptions: (_key, options) => options,
  endpoints: () => sampleEndpoints,
  identities: () => [
    { id: 1, labels: ['reserved:host'], endpoints: 0 },
    { id: 257, labels: ['container:id=app1', 'weir:network=app-net'], endpoints: 1 },
  ],
  networks: () => [
    {
      id: 'n1',
      name: 'app-net',
      subnets: ['10.210.0.0/24'],
      gateways: ['169.254.1.1'],
      isolation: 'network',
      internal: false,
      mtu: 1500,
      endpoints: 2,
    },
  ],
  ipam: () => [
    {
      id: 'default',
      cidr: '10.210.0.0/16',
      range: '10.210.0.0/24',
      gateway: '',
      networks: ['app-net'],
      capacity: 254,
      allocated: 2,
      resting: 1,
    },
  ],
  services: () => [
    {
      id: 1,
      protocol: 'TCP',
      frontend: { address: '0.0.0.0', port: 8080 },
      backends: [{ address: '10.210.0.1', port: 80 }],
      network: 'app-net',
      containerId: 'c0ffee1',
      containerName: 'app1',
      endpoint: 1,
    },
  ],
  ips: () => [
    {
      cidr: '10.210.0.1/32',
      identity: 257,
      labels: ['container:id=app1'],
      containerName: 'app1',
      endpoint: 1,
    },
  ],
};

const preview: api.PolicyPreview = {
  ...{ revision: 1, count: 1, added: 1, removed: 0, moreChanges: 0, moreConnections: 2 },
  changes: [
    {
      source: { identity: 0, labels: ['cidr:192.0.2.0/24'], containers: [] },
      destination: { identity: 257, labels: ['container:id=app1'], containers: ['app1'] },
      ...{ protocol: 'TCP', except: [], ports: '80', after: 'allowed' },
    },
  ],
  connections: [
    {
      ...{ protocol: 'TCP', before: 'allowed', after: 'denied' },
      source: sampleFlow.source,
      destination: sampleFlow.destination,
    },
  ],
};

/** `calls` is what changed or asked about policy; `sinks` are the open monitor streams. */
export function sampleState(
  change: Partial<AgentState> = {},
): AgentState & { calls: unknown[]; sinks: Set<FlowSink> } {
  const calls: unknown[] = [];
  const sinks = new Set<FlowSink>();
  const record = (...call: unknown[]): number => calls.push(call);
  return {
    calls,
    sinks,
    ...inspect,
    bpf,
    policy: (labels) => ({
      revision: 1,
      rules: labels.length > 0 ? [] : [{ endpointSelector: {}, ingress: [{}] }],
    }),
    importPolicy: (files, options) => {
      record('import', files, options);
      if (files.some((file) => file.text.includes('wrong'))) {
        throw new UserError('POLICY_INVALID', `${files[0]!.name}: $[0].ingres: unknown field`, {
          hint: 'did you mean ingress?',
        });
      }
      return { revision: 2, count: files.length };
    },
    deletePolicy: (which) => {
      record('delete', which);
      return { revision: 3, count: 1 };
    },
    previewPolicy: (files, options) => {
      record('preview', files, options);
      return preview;
    },
    validatePolicy: (files) => ({ valid: true, count: files.length }),
    tracePolicy: (query) => {
      record('trace', query);
      const matched: api.TraceMatch[] = [{ direction: 'ingress', rule: 1, labels: [], verdict: 'allow' }];
      return {
        verdict: 'allowed',
        ingress: 'allowed',
        egress: 'none',
        matched,
        reason: 'rule 1 allows it',
        lines: ['rule 1'],
      };
    },
    waitRevision: (revision, timeoutMs) => {
      record('wait', revision, timeoutMs);
      return { revision: 1, reached: revision <= 1 };
    },
    flows: (_filter, sink) => {
      sinks.add(sink);
      return { resume: () => {}, close: () => void sinks.delete(sink) };
    },
    ...change,
  };
}
