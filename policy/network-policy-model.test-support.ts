/**
 * What Kubernetes says a NetworkPolicy means, written down by its definition and read off the object itself: no rule of
 * weir in between. Random policies and pods come along, from a world small enough that they meet.
 */
import { BlockList, isIPv6 } from 'node:net';
import * as fc from 'fast-check';

export interface Pod {
  namespace: string;
  labels: Record<string, string>;
}

export type Party = Pod | { address: string } | 'host';

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

interface PolicyPeer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}

interface PolicyItem {
  from?: PolicyPeer[];
  to?: PolicyPeer[];
  ports?: { protocol?: string; port?: number | string; endPort?: number }[];
}

export interface NetworkPolicy {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string };
  spec: { podSelector: Selector; policyTypes?: string[]; ingress?: PolicyItem[]; egress?: PolicyItem[] };
}

export interface Traffic {
  direction: 'ingress' | 'egress';
  protocol: number;
  port: number;
}

/** "isolated": no policy allows it; "free": no policy is about it. */
export function judge(
  policies: NetworkPolicy[],
  pod: Pod,
  other: Party,
  traffic: Traffic,
): 'allowed' | 'isolated' | 'free' {
  const applying = policies.filter(({ metadata, spec }) => {
    return (
      metadata.namespace === pod.namespace &&
      matches(spec.podSelector, pod.labels) &&
      typesOf(spec).includes(traffic.direction)
    );
  });
  if (applying.length === 0) return 'free';
  const isAllowed = applying.some(({ metadata, spec }) =>
    (spec[traffic.direction] ?? []).some((item) => isOf(item, metadata.namespace, other, traffic)),
  );
  return isAllowed ? 'allowed' : 'isolated';
}

function typesOf({ policyTypes = [], egress = [] }: NetworkPolicy['spec']): string[] {
  if (policyTypes.length > 0) return policyTypes.map((type) => type.toLowerCase());
  return egress.length > 0 ? ['ingress', 'egress'] : ['ingress'];
}

function isOf(
  { from, to, ports = [] }: PolicyItem,
  namespace: string,
  other: Party,
  traffic: Traffic,
): boolean {
  const peers = from ?? to ?? [];
  if (peers.length > 0 && !peers.some((peer) => isPeer(peer, namespace, other))) return false;
  return ports.length === 0 || ports.some((port) => isPort(port, traffic));
}

function isPeer(
  { podSelector, namespaceSelector, ipBlock }: PolicyPeer,
  namespace: string,
  other: Party,
): boolean {
  if (other === 'host') return false;
  if ('address' in other) {
    if (ipBlock === undefined) return false;
    const isIn = (cidr: string): boolean => contains(cidr, other.address);
    return isIn(ipBlock.cidr) && !(ipBlock.except ?? []).some(isIn);
  }
  if (ipBlock !== undefined) return false;
  const isNamespace =
    namespaceSelector === undefined
      ? other.namespace === namespace
      : matches(namespaceSelector, { 'kubernetes.io/metadata.name': other.namespace });
  return isNamespace && matches(podSelector ?? {}, other.labels);
}

function matches(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Record<string, string>,
): boolean {
  const entries = Object.entries(matchLabels);
  if (!entries.every(([key, value]) => labels[key] === value)) return false;
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    const isListed = value !== undefined && values.includes(value);
    return { In: isListed, NotIn: !isListed, Exists: value !== undefined, DoesNotExist: value === undefined }[
      operator
    ];
  });
}

function isPort(
  { protocol = 'TCP', port, endPort }: { protocol?: string; port?: number | string; endPort?: number },
  traffic: Traffic,
): boolean {
  if ({ TCP: 6, UDP: 17, SCTP: 132 }[protocol] !== traffic.protocol) return false;
  if (port === undefined) return true;
  const first = port === 'http' ? 80 : Number(port);
  return traffic.port >= first && traffic.port <= (endPort ?? first);
}

function contains(cidr: string, address: string): boolean {
  const [base = '', length = ''] = cidr.split('/');
  if (isIPv6(base) !== isIPv6(address)) return false;
  const family = isIPv6(base) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(base, Number(length), family);
  return list.check(address, family);
}

const NAMESPACES = ['front', 'back'];
const selectorOf = (keys: string[], values: string[]): fc.Arbitrary<Selector> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant({}) },
    {
      weight: 2,
      arbitrary: fc.record({
        matchLabels: fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), { maxKeys: 1 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        matchExpressions: fc.array(
          fc.oneof(
            fc.record({
              key: fc.constantFrom(...keys),
              operator: fc.constantFrom('In', 'NotIn'),
              values: fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
            }),
            fc.record({ key: fc.constantFrom(...keys), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
          ),
          { maxLength: 2 },
        ),
      }),
    },
  );
const podSelector = selectorOf(['app', 'role'], ['a', 'b']);
const namespaceSelector = selectorOf(['kubernetes.io/metadata.name'], NAMESPACES);
const ipBlock = fc.constantFrom<{ cidr: string; except?: string[] }[]>(
  { cidr: '10.0.0.0/8' },
  { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] },
  { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] },
  { cidr: 'fd00::/8' },
);
const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  fc.record({ podSelector }),
  fc.record({ namespaceSelector }),
  fc.record({ podSelector, namespaceSelector }),
  fc.record({ ipBlock }),
);
const port = fc.oneof(
  fc.record(
    {
      protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
      port: fc.constantFrom<number | string>(80, 443, 'http'),
    },
    { requiredKeys: [] },
  ),
  fc.record({ port: fc.constant(79), endPort: fc.constantFrom(79, 80, 443) }),
);
const itemsOf = (direction: 'from' | 'to'): fc.Arbitrary<PolicyItem[]> =>
  fc.array(
    fc.record(
      { [direction]: fc.array(peer, { maxLength: 2 }), ports: fc.array(port, { maxLength: 2 }) },
      { requiredKeys: [] },
    ),
    { maxLength: 2 },
  );

/** Policies that Kubernetes takes and that name no type while they have items of another. */
export const networkPolicies = fc.array(
  fc
    .record({
      name: fc.constantFrom('x', 'y', 'z'),
      namespace: fc.constantFrom(...NAMESPACES),
      spec: fc.record(
        {
          podSelector,
          policyTypes: fc.uniqueArray(fc.constantFrom('Ingress', 'Egress')),
          ingress: itemsOf('from'),
          egress: itemsOf('to'),
        },
        { requiredKeys: ['podSelector'] },
      ),
    })
    .map(({ name, namespace, spec }): NetworkPolicy => {
      const types = typesOf(spec);
      const kept = { ...spec };
      if (!types.includes('ingress')) delete kept.ingress;
      if (!types.includes('egress')) delete kept.egress;
      return {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name, namespace },
        spec: kept,
      };
    }),
  { maxLength: 4 },
);

export const pod: fc.Arbitrary<Pod> = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  labels: fc.dictionary(fc.constantFrom('app', 'role'), fc.constantFrom('a', 'b'), { maxKeys: 2 }),
});
export const party: fc.Arbitrary<Party> = fc.oneof(
  { weight: 4, arbitrary: pod },
  {
    weight: 2,
    arbitrary: fc.record({
      address: fc.constantFrom('10.1.2.3', '10.9.9.9', '192.0.2.1', 'fd00::1', '2001:db8::1'),
    }),
  },
  { weight: 1, arbitrary: fc.constant('host' as const) },
);
export const traffic: fc.Arbitrary<Traffic> = fc.record({
  direction: fc.constantFrom('ingress', 'egress'),
  protocol: fc.constantFrom(6, 17, 132, 1),
  port: fc.constantFrom(0, 78, 79, 80, 81, 443, 8080),
});
