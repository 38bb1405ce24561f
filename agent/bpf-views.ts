/** The maps of the datapath as `weir bpf … list` shows them: as they are, not as they should be. */
import type { api } from '../base/index.ts';
import { dropReason, EndpointFlag, PolicyDirection, PolicyVerdict } from '../bpf/index.ts';
import type { PolicyEntry, PolicyKey } from '../bpf/index.ts';
import type { Connection, Datapath } from '../datapath/index.ts';
import { prefixText } from '../datapath/index.ts';

const PROTOCOLS: Record<number, string> = {
  0: 'any',
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
  132: 'SCTP',
};
const PEER_NETWORK = 0xffff_ffff;
/** Bits of a policy key before the port. */
const BITS_BEFORE_PORT = 112;
const VERDICTS: Record<number, 'allow' | 'published'> = {
  [PolicyVerdict.VERDICT_ALLOW]: 'allow',
  [PolicyVerdict.VERDICT_PUBLISHED]: 'published',
};
const FLAGS = { 'no-world': EndpointFlag.ENDPOINT_NO_WORLD, audit: EndpointFlag.ENDPOINT_AUDIT };
const DIRECTIONS = ['unknown', 'ingress', 'egress'] as const;
const METRIC_DIRECTIONS = 4;
const METRIC_LOST = 255;

function protocolOf(number: number): string {
  return PROTOCOLS[number] ?? String(number);
}

/** "any", "80" or "8080-8087", from the leading bits of the port that count. */
function portOf({ prefixLength, port }: PolicyKey): string {
  const bits = prefixLength - BITS_BEFORE_PORT;
  if (bits <= 0) return 'any';
  return bits >= 16 ? String(port) : `${port}-${port + 2 ** (16 - bits) - 1}`;
}

function policyEntry(
  key: PolicyKey,
  entry: PolicyEntry,
  labelsOf: (id: number) => string[],
): api.BpfPolicyEntry {
  const { peer } = key;
  return {
    identity: key.subject,
    direction: key.direction === PolicyDirection.DIRECTION_INGRESS ? 'ingress' : 'egress',
    peer,
    peerName: peer === 0 ? 'any' : peer === PEER_NETWORK ? 'same-network' : labelsOf(peer).join(' '),
    protocol: protocolOf(key.protocol),
    port: portOf(key),
    verdict: VERDICTS[entry.verdict] ?? 'deny',
    rule: entry.rule,
    generation: key.generation,
  };
}

function connection(item: Connection): api.BpfConnection {
  const {
    source,
    sourcePort,
    destination,
    destinationPort,
    sourceIdentity,
    destinationIdentity,
    generation,
  } = item;
  return {
    protocol: protocolOf(item.protocol),
    source,
    sourcePort,
    destination,
    destinationPort,
    sourceIdentity,
    destinationIdentity,
    state: item.closing ? 'closing' : item.replied ? 'established' : 'new',
    generation,
    expiresInSeconds: item.expiresSeconds,
  };
}

/** `labelsOf` names identities; nothing is cached. */
export function bpfViews(datapath: Datapath, labelsOf: (id: number) => string[]) {
  const { maps } = datapath.object;
  return {
    policy: (subject?: number): api.BpfPolicyEntry[] =>
      [...maps.policy.entries()]
        .filter(([key]) => key.generation === datapath.policyMap.generation)
        .filter(([key]) => subject === undefined || key.subject === subject)
        .map(([key, entry]) => policyEntry(key, entry, labelsOf)),
    ct: async (): Promise<api.BpfConnection[]> => (await datapath.conntrack.list()).map(connection),
    ipcache: (): api.BpfIpcacheEntry[] =>
      [...maps.ipcache.entries()].map(([key, { identity }]) => ({
        cidr: prefixText(key),
        identity,
        tunnelEndpoint: '',
      })),
    endpoint: (): api.BpfEndpoint[] => endpointEntries(datapath),
    lb: (): api.BpfService[] =>
      [...maps.service.entries()].map(([key, service]) => ({
        id: service.id,
        protocol: protocolOf(key.protocol),
        address: key.address,
        port: key.port,
        backendAddress: service.address,
        backendPort: service.port,
      })),
    metrics: (): api.BpfMetric[] => metricEntries(datapath),
  };
}

function endpointEntries(datapath: Datapath): api.BpfEndpoint[] {
  const names = new Map(
    datapath.endpoints.list().map((endpoint) => [endpoint.ifindex, endpoint.hostInterface]),
  );
  return [...datapath.object.maps.endpoint.entries()].map(([address, entry]) => ({
    address,
    endpoint: entry.id,
    identity: entry.identity,
    interface: names.get(entry.ifindex) ?? '',
    ifindex: entry.ifindex,
    mac: entry.mac,
    flags: Object.entries(FLAGS).flatMap(([name, flag]) => (entry.flags & flag ? [name] : [])),
  }));
}

function metricEntries(datapath: Datapath): api.BpfMetric[] {
  return [...datapath.object.maps.metrics.entries()]
    .filter(([index, { packets }]) => packets > 0n && Math.floor(index / METRIC_DIRECTIONS) !== METRIC_LOST)
    .map(([index, { packets, bytes }]) => {
      const code = Math.floor(index / METRIC_DIRECTIONS);
      return {
        reason: code === 0 ? 'Forwarded' : dropReason(code),
        reasonCode: code,
        direction: DIRECTIONS[index % METRIC_DIRECTIONS] ?? 'unknown',
        packets: Number(packets),
        bytes: Number(bytes),
      };
    });
}

/** Events that found the ring full, ever. */
export function lostEvents(datapath: Datapath): number {
  return Number(datapath.object.maps.metrics.get(METRIC_LOST * METRIC_DIRECTIONS)?.packets ?? 0n);
}
