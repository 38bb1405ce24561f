import { type Field, quote } from './field.ts';
import {
  both,
  onAnyNetwork,
  onNetwork,
  readNamespaceSelector,
  readPodSelector,
  readSubjects,
} from './kubernetes-selector.ts';
import { suggest } from './nearest-name.ts';
import { parseCidrRange } from './parse-peers.ts';
import { parseEndPort, parsePortText, parseProtocol } from './parse-ports.ts';
import type { CidrRange, EgressItem, IngressItem, LabelSelector, PortRule, PortSpec, Rule } from './rule.ts';
import { members } from './shape.ts';

const TYPES = ['Ingress', 'Egress'] as const;
type PolicyType = (typeof TYPES)[number];

/**
 * The spec of a Kubernetes NetworkPolicy as a rule. Its words are the same and mean other things: there an empty item, no
 * peers and no ports allow everything. `network` is the namespace; without one, each network stands for itself.
 */
export function parseNetworkPolicy(spec: Field, network: string | undefined): Rule {
  const parts = members(spec, { known: ['podSelector', 'policyTypes', 'ingress', 'egress'] });
  if (parts.podSelector === undefined) {
    return spec.fail(
      'has no podSelector',
      'say whom the policy is for; {} is every container of the network',
    );
  }
  const endpointSelector = readSubjects(parts.podSelector, network);
  const types = parseTypes(parts.policyTypes) ?? defaultTypes(parts.egress);
  const ingress = sectionOf('Ingress', parts.ingress, types, (item) => parseIngress(item, network));
  const egress = sectionOf('Egress', parts.egress, types, (item) => parseEgress(item, network));
  return {
    endpointSelector,
    ...(ingress && { ingress }),
    ...(egress && { egress }),
  };
}

function parseTypes(field: Field | undefined): PolicyType[] | undefined {
  const types = (field?.list() ?? []).map((each) => {
    const text = each.text();
    return (
      TYPES.find((type) => type === text) ??
      each.fail(`${quote(text)} is no policy type`, suggest(text, TYPES))
    );
  });
  return types.length === 0 ? undefined : types;
}

/** An empty list of egress items denies nothing unless policyTypes says so. */
function defaultTypes(egress: Field | undefined): PolicyType[] {
  return (egress?.list() ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

function sectionOf<Item>(
  type: PolicyType,
  field: Field | undefined,
  types: PolicyType[],
  parseItem: (field: Field) => Item[],
): (Item | Record<string, never>)[] | undefined {
  const items = field?.list() ?? [];
  if (types.includes(type)) return items.length === 0 ? [{}] : items.flatMap(parseItem);
  if (items.length === 0) return undefined;
  return field?.fail(
    `has rules, but policyTypes does not name ${type}`,
    `add ${type} to policyTypes, or take them out`,
  );
}

function parseIngress(field: Field, network: string | undefined): IngressItem[] {
  const { from, ports } = members(field, { known: ['from', 'ports'] });
  const { selectors, ranges } = parsePeers(from, network);
  const passing = parsePorts(ports);
  if (selectors.length + ranges.length === 0) return [{ fromEntities: ['all'], ...passing }];
  return [
    ...(selectors.length > 0 ? [{ fromEndpoints: selectors, ...passing }] : []),
    ...(ranges.length > 0 ? [{ fromCIDRSet: ranges, ...passing }] : []),
  ];
}

function parseEgress(field: Field, network: string | undefined): EgressItem[] {
  const { to, ports } = members(field, { known: ['to', 'ports'] });
  const { selectors, ranges } = parsePeers(to, network);
  const passing = parsePorts(ports);
  if (selectors.length + ranges.length === 0) return [{ toEntities: ['all'], ...passing }];
  return [
    ...(selectors.length > 0 ? [{ toEndpoints: selectors, ...passing }] : []),
    ...(ranges.length > 0 ? [{ toCIDRSet: ranges, ...passing }] : []),
  ];
}

interface Peers {
  selectors: LabelSelector[];
  ranges: CidrRange[];
}

function parsePeers(field: Field | undefined, network: string | undefined): Peers {
  const peers: Peers = { selectors: [], ranges: [] };
  for (const each of field?.list() ?? []) {
    const parts = members(each, { known: ['podSelector', 'namespaceSelector', 'ipBlock'] });
    const { podSelector, namespaceSelector, ipBlock } = parts;
    const selects = podSelector !== undefined || namespaceSelector !== undefined;
    if (ipBlock !== undefined) {
      if (selects) ipBlock.fail('cannot go with selectors', 'write two peers, which are ORed');
      peers.ranges.push(parseCidrRange(ipBlock));
    } else if (selects) {
      const pods = podSelector === undefined ? {} : readPodSelector(podSelector);
      peers.selectors.push(within(pods, namespaceSelector, network));
    } else {
      each.fail(
        'names no peer',
        'write podSelector, namespaceSelector or ipBlock; leave the list out for anybody',
      );
    }
  }
  return peers;
}

/** Pods of the namespaces selected, or of the policy's own. */
function within(
  pods: LabelSelector,
  namespaces: Field | undefined,
  network: string | undefined,
): LabelSelector {
  if (namespaces === undefined) return network === undefined ? pods : onNetwork(pods, network);
  const networks = both(readNamespaceSelector(namespaces), {});
  return Object.keys(networks).length === 0 ? onAnyNetwork(pods) : both(pods, networks);
}

function parsePorts(field: Field | undefined): { toPorts?: PortRule[] } {
  const ports = (field?.list() ?? []).map(parsePort);
  return ports.length === 0 ? {} : { toPorts: [{ ports }] };
}

function parsePort(field: Field): PortSpec {
  const parts = members(field, { known: ['port', 'endPort', 'protocol'] });
  const protocol = parts.protocol === undefined ? 'TCP' : parseProtocol(parts.protocol);
  if (protocol === 'ANY') parts.protocol?.fail('is no protocol of a NetworkPolicy', 'write TCP, UDP or SCTP');
  if (parts.port === undefined) {
    parts.endPort?.fail('ends a range that has no start', 'write port too');
    return { port: '0', protocol };
  }
  const port = parsePortText(parts.port);
  if (port === '0') parts.port.fail('0 is no port', 'leave port out for every port');
  const endPort = parts.endPort === undefined ? 0 : parseEndPort(parts.endPort, port);
  return { port, ...(endPort !== 0 && { endPort }), protocol };
}
