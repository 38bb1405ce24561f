/** The agent as its API sees it: questions answered from the parts, in the shapes of openapi.yaml. */
import { release } from 'node:os';
import { addressBits, familyOf } from '../base/index.ts';
import type { api } from '../base/index.ts';
import { isCidrIdentity, NETWORK_LABEL } from '../identity/index.ts';
import { trace } from '../policy/index.ts';
import { selectEndpoints } from './api-select.ts';
import type { AgentState } from './api-state.ts';
import { bpfViews } from './bpf-views.ts';
import type { Parts } from './parts.ts';
import { previewOf } from './policy-preview.ts';
import { statusOf } from './status.ts';
import { isAudited, labelsOfSide } from './trace-side.ts';
import { VERSION } from './version.ts';

const AUDIT_SETTING = 'policy-audit-mode';
const NETWORK_PREFIX = `${NETWORK_LABEL}=`;

/** `parts` are the running agent's; answers are what holds at the moment of the question. */
export function createState(parts: Parts, settings: api.Setting[]): AgentState {
  const { policy, monitor, labelsOf } = parts;
  return {
    status: () => statusOf(parts),
    version: () => ({ version: VERSION, api: 'v1', node: process.version, kernel: release() }),
    config: () => currentSettings(parts, settings),
    setConfig: ({ policyAuditMode }) => {
      parts.datapath.audit = policyAuditMode === 'enable';
      return currentSettings(parts, settings);
    },
    endpoints: () => endpointViews(parts),
    endpointOptions: (key) => optionsOf(parts, key),
    setEndpointOptions: async (key, { policyAuditMode }) => {
      await parts.endpoints.setAudit(key, policyAuditMode === 'enable');
      return optionsOf(parts, key);
    },
    identities: () => parts.identities.list().map(({ id, labels, endpoints }) => ({ id, labels, endpoints })),
    policy: (labels) => ({
      revision: policy.revision,
      rules: policy.select(labels).map((rule) => ({ ...rule })),
    }),
    importPolicy: (files, options) => policy.import(files, options),
    deletePolicy: (which) => policy.delete(which),
    validatePolicy: (files) => ({ valid: true, count: policy.parse(files).length }),
    previewPolicy: (files, options) => previewOf(parts, policy.plan(files, options)),
    tracePolicy: (query) => traceOf(parts, query),
    waitRevision: (revision, timeoutMs, signal) => policy.wait(revision, timeoutMs, signal),
    networks: () => networkViews(parts),
    ipam: () => poolViews(parts),
    ips: () => addressViews(parts),
    services: () => serviceViews(parts),
    bpf: bpfViews(parts.datapath, labelsOf),
    flows: (filter, sink) => monitor.subscribe(filter, sink),
  };
}

/** As they were read at the start, but for what was changed since. */
function currentSettings({ datapath }: Parts, settings: api.Setting[]): api.Setting[] {
  const value = modeOf(datapath.audit);
  return settings.map((setting) =>
    setting.name === AUDIT_SETTING && setting.value !== value
      ? { ...setting, value, source: 'runtime' }
      : setting,
  );
}

function optionsOf({ endpoints }: Parts, key: string): api.Options {
  return { policyAuditMode: modeOf(endpoints.list().some((view) => view.key === key && view.audit)) };
}

function modeOf(audit: boolean): api.Options['policyAuditMode'] {
  return audit ? 'enable' : 'disable';
}

function endpointViews({ endpoints, datapath, policy, labelsOf }: Parts): api.Endpoint[] {
  return endpoints.list().map((view) => {
    const enforced = datapath.enforcement.enforced(view.identity);
    return {
      id: view.endpointId ?? 0,
      network: view.network,
      containerId: view.containerId,
      containerName: view.containerName,
      endpointId: view.key,
      ipv4: view.ipv4,
      ipv6: view.ipv6,
      mac: view.mac,
      identity: { id: view.identity, labels: labelsOf(view.identity) },
      state: view.state,
      policy: {
        ingress: enforced.ingress,
        egress: enforced.egress,
        revision: policy.revision,
        audit: view.audit || datapath.audit,
      },
      interface: view.hostInterface ?? '',
    };
  });
}

function networkViews({ networks, endpoints, datapath }: Parts): api.Network[] {
  const mtu = datapath.uplinks.current[0]?.mtu ?? 1500;
  return networks.list().map((network) => ({
    id: network.id,
    name: network.name ?? '',
    subnets: network.pools,
    gateways: [network.gateway4, network.gateway6].filter((gateway) => gateway !== undefined),
    isolation: network.isolation,
    internal: network.internal,
    mtu: network.mtu ?? mtu,
    endpoints: endpoints.list().filter((endpoint) => endpoint.networkId === network.id).length,
  }));
}

function poolViews({ ipam, networks }: Parts): api.Pool[] {
  return ipam.list().map((pool) => ({
    id: pool.id,
    cidr: pool.cidr,
    range: pool.range,
    gateway: pool.gateway,
    networks: networks
      .list()
      .filter((network) => network.pools.includes(pool.subnet))
      .map((network) => network.name ?? network.id),
    capacity: pool.capacity,
    allocated: pool.allocated,
    resting: pool.resting,
  }));
}

function serviceViews({ endpoints, datapath }: Parts): api.Service[] {
  const owners = new Map(endpoints.list().map((endpoint) => [endpoint.key, endpoint]));
  return datapath.services.list().map(({ id, protocol, hostAddress, hostPort, address, port, key }) => {
    const owner = owners.get(key);
    return {
      id,
      protocol: protocol === 'tcp' ? 'TCP' : 'UDP',
      frontend: { address: hostAddress, port: hostPort },
      backends: [{ address, port }],
      network: owner?.network ?? '',
      containerId: owner?.containerId ?? '',
      containerName: owner?.containerName ?? '',
      endpoint: owner?.endpointId ?? 0,
    };
  });
}

function addressViews({ datapath, labelsOf }: Parts): api.Address[] {
  const local = datapath.endpoints.list().flatMap(({ addresses, owner, endpointId }) =>
    addresses.map((address) => ({
      cidr: `${address}/${addressBits(familyOf(address))}`,
      identity: owner?.identity ?? 0,
      labels: owner === undefined ? [] : labelsOf(owner.identity),
      containerName: owner?.containerName ?? '',
      endpoint: endpointId,
    })),
  );
  const others = bpfViews(datapath, labelsOf)
    .ipcache()
    .map(({ cidr, identity }) => ({
      cidr,
      identity,
      labels: labelsOf(identity),
      containerName: '',
      endpoint: 0,
    }));
  return [...local, ...others];
}

function traceOf(parts: Parts, asked: Required<api.TraceRequest>): api.TraceResult {
  const { datapath, networks } = parts;
  const { compiled, context } = datapath.enforcement;
  const endpoints = endpointViews(parts);
  const source = labelsOfSide(parts, asked.source, endpoints);
  const destination = labelsOfSide(parts, asked.destination, endpoints);
  const internal = new Set(
    networks.list().flatMap(({ name, internal }) => (internal && name !== undefined ? [name] : [])),
  );
  const isInternal = (labels: string[]): boolean => {
    const own = labels.filter((label) => label.startsWith(NETWORK_PREFIX));
    return own.length > 0 && own.every((label) => internal.has(label.slice(NETWORK_PREFIX.length)));
  };
  const query = {
    ...{ source, destination, dports: asked.dports },
    sourceNoWorld: isInternal(source),
    destinationNoWorld: isInternal(destination),
    publishedPorts: publishedPortsOf(parts, asked.destination),
    sourceAudited: isAudited(parts, asked.source, endpoints),
    destinationAudited: isAudited(parts, asked.destination, endpoints),
  };
  return trace(compiled, query, context);
}

/** Labels are nobody's in particular; a container that is named has the ports that lead to it. */
function publishedPortsOf(parts: Parts, { endpoint, address }: api.TraceParty): api.TracePort[] {
  const endpoints = endpointViews(parts);
  const named =
    endpoint === undefined
      ? endpoints.filter(({ ipv4, ipv6 }) => address !== undefined && [ipv4, ipv6].includes(address))
      : selectEndpoints(endpoints, endpoint);
  const containers = new Set(named.map(({ containerId }) => containerId));
  const services = serviceViews(parts).filter(({ containerId }) => containers.has(containerId));
  return services.flatMap(({ backends, protocol }) => backends.map(({ port }) => ({ port, protocol })));
}

/** Names an identity: its labels, the reserved name, the range of a CIDR identity; nothing for what is unknown. */
export function labelsOfIdentity(parts: Pick<Parts, 'identities' | 'datapath'>, identity: number): string[] {
  if (!isCidrIdentity(identity)) return parts.identities.get(identity)?.labels ?? [];
  const range = parts.datapath.ipcache.rangeOf(identity);
  return range === undefined ? [] : [`cidr:${range}`];
}
