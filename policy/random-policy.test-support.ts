/** Random rules, endpoints and packets from a world small enough that they meet. */
import * as fc from 'fast-check';
import type { ModelPacket, ModelPeer } from './model.test-support.ts';

const KEYS = ['id', 'any:id', 'container:id', 'k8s:id', 'role', 'network', 'weir:network', 'reserved:init'];
const NETWORKS = ['front', 'back', 'open1', 'open2'];
const valueFor = (key: string): fc.Arbitrary<string> =>
  key === 'weir:network'
    ? fc.constantFrom(...NETWORKS)
    : key === 'reserved:init'
      ? fc.constant('')
      : fc.constantFrom('a', 'b', 'front', '');

const expression = fc.constantFrom(...KEYS).chain((key) =>
  fc.oneof(
    fc.record({
      key: fc.constant(key),
      operator: fc.constantFrom('In', 'NotIn'),
      values: fc.array(valueFor(key), { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ key: fc.constant(key), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
  ),
);
const matchLabels = fc
  .uniqueArray(fc.constantFrom(...KEYS), { maxLength: 2 })
  .chain((keys) => fc.tuple(...keys.map((key) => valueFor(key).map((value) => [key, value] as const))))
  .map((pairs) => Object.fromEntries(pairs));
const selector = fc.oneof(
  { weight: 1, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ matchLabels }) },
  {
    weight: 2,
    arbitrary: fc.record(
      { matchLabels, matchExpressions: fc.array(expression, { maxLength: 2 }) },
      { requiredKeys: [] },
    ),
  },
);
const cidr = fc.constantFrom(
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.0/24',
  '10.1.2.3/32',
  '192.0.2.0/24',
  '::/0',
  'fd00::/8',
  'fd00:1::/32',
  'fd00:1::5/128',
);
const cidrRange = fc.constantFrom(
  { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] },
  { cidr: '10.0.0.0/8', except: ['10.1.2.3/32', '10.2.0.0/15'] },
  { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '192.0.2.0/25'] },
  { cidr: '::/0', except: ['fd00::/8'] },
  { cidr: '10.1.0.0/16' },
);
const entity = fc.constantFrom(
  'all',
  'world',
  'world-ipv4',
  'world-ipv6',
  'cluster',
  'host',
  'remote-node',
  'init',
  'health',
  'unmanaged',
  'kube-apiserver',
  'ingress',
  'none',
);
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP', 'ANY');
const port = fc.oneof(
  fc.record({ port: fc.constantFrom('80', '81', '443', '0', 'http', 'domain', '65535'), protocol }),
  fc.record({
    port: fc.constantFrom('1', '79', '80', '64'),
    endPort: fc.constantFrom(80, 81, 1023, 65535),
    protocol,
  }),
);
const toPorts = fc.array(fc.record({ ports: fc.array(port, { minLength: 1, maxLength: 3 }) }), {
  maxLength: 2,
});

const icmpType = fc.oneof(
  fc.record({ type: fc.constantFrom(0, 8, 'EchoRequest', 'echo', '3', 80) }),
  fc.record({
    family: fc.constantFrom('IPv6', 'ipv6'),
    type: fc.constantFrom(128, 'EchoReply', 'PacketTooBig', 8),
  }),
);
const icmps = fc.array(fc.record({ fields: fc.array(icmpType, { minLength: 1, maxLength: 2 }) }), {
  maxLength: 2,
});
/** What passes: ports, or messages, or whatever. */
const passing: fc.Arbitrary<object> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ toPorts }) },
  { weight: 1, arbitrary: fc.record({ icmps }) },
  { weight: 3, arbitrary: fc.constant({}) },
);

function itemFor(direction: 'from' | 'to'): fc.Arbitrary<object> {
  const lists = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown[]> =>
    fc.array(arbitrary, { maxLength: 2 });
  const peers = fc.oneof(
    { weight: 4, arbitrary: fc.record({ [`${direction}Endpoints`]: lists(selector) }) },
    { weight: 1, arbitrary: fc.record({ [`${direction}CIDR`]: lists(cidr) }) },
    { weight: 1, arbitrary: fc.record({ [`${direction}CIDRSet`]: lists(cidrRange) }) },
    { weight: 2, arbitrary: fc.record({ [`${direction}Entities`]: lists(entity) }) },
    { weight: 1, arbitrary: fc.constant({}) },
  );
  return fc.tuple(peers, passing).map(([peer, ports]) => ({ ...peer, ...ports }));
}

/** An item that narrows other items, beside a peer or alone. */
function requiringItemFor(direction: 'from' | 'to'): fc.Arbitrary<object> {
  const requires = fc.record({ [`${direction}Requires`]: fc.array(selector, { maxLength: 2 }) });
  const isPeerless = (item: object): boolean =>
    !Object.keys(item).some((name) => name.startsWith(direction + 'E') || name.startsWith(direction + 'C'));
  return fc
    .tuple(requires, itemFor(direction))
    .map(([required, item]) => (isPeerless(item) ? required : { ...item, ...required }));
}

const items = (direction: 'from' | 'to'): fc.Arbitrary<object[]> =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: itemFor(direction) },
      { weight: 1, arbitrary: requiringItemFor(direction) },
    ),
    { minLength: 1, maxLength: 2 },
  );
const denyItems = (direction: 'from' | 'to'): fc.Arbitrary<object[]> =>
  fc
    .array(itemFor(direction), { minLength: 1, maxLength: 2 })
    .filter((list) => list.every((item) => Object.keys(item).length > 0));

/** Rules as a user writes them: JSON that `parsePolicy` takes. */
export const rules = fc.array(
  fc
    .record(
      {
        endpointSelector: selector,
        ingress: items('from'),
        ingressDeny: denyItems('from'),
        egress: items('to'),
        egressDeny: denyItems('to'),
        log: fc.record({ value: fc.constantFrom('', 'audit') }),
        labels: fc.array(fc.constantFrom('name=a', 'name=b', 'k8s:x'), { maxLength: 2 }),
        enableDefaultDeny: fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
      },
      { requiredKeys: ['endpointSelector'] },
    )
    .filter((rule) => ['ingress', 'ingressDeny', 'egress', 'egressDeny'].some((name) => name in rule)),
  { maxLength: 5 },
);

const endpoint: fc.Arbitrary<ModelPeer> = fc.record({
  kind: fc.constant('endpoint' as const),
  labels: fc.uniqueArray(
    fc.tuple(
      fc.constantFrom('container', 'k8s'),
      fc.constantFrom('id', 'role', 'network'),
      fc.constantFrom('a', 'b', 'front', ''),
    ),
    { maxLength: 3, selector: (label) => label.slice(0, 2).join(':') },
  ),
  networks: fc.uniqueArray(fc.constantFrom(...NETWORKS), { maxLength: 2 }),
});
const init = fc.constant<ModelPeer>({ kind: 'init' });
const outsider: fc.Arbitrary<ModelPeer> = fc.oneof(
  fc.record({
    kind: fc.constant('reserved' as const),
    name: fc.constantFrom(
      'host' as const,
      'world',
      'remote-node',
      'health',
      'unmanaged',
      'kube-apiserver',
      'ingress',
    ),
  }),
  fc.record({
    kind: fc.constant('address' as const),
    address: fc.constantFrom(
      '10.1.2.3',
      '10.1.2.4',
      '10.1.9.9',
      '10.2.0.1',
      '192.0.2.7',
      '192.0.2.200',
      '203.0.113.1',
      'fd00:1::5',
      'fd00:1::6',
      'fd77::1',
      '2001:db8::1',
    ),
  }),
);

export const subject = fc.oneof({ weight: 9, arbitrary: endpoint }, { weight: 1, arbitrary: init });
export const peer = fc.oneof(
  { weight: 4, arbitrary: endpoint },
  { weight: 1, arbitrary: init },
  { weight: 4, arbitrary: outsider },
);
export const flow: fc.Arbitrary<Pick<ModelPacket, 'direction' | 'protocol' | 'port'>> = fc.record({
  direction: fc.constantFrom('ingress', 'egress'),
  protocol: fc.constantFrom(6, 17, 132, 1, 58),
  port: fc.constantFrom(0, 1, 3, 8, 53, 79, 80, 81, 82, 128, 129, 443, 1023, 1024, 65535),
});
export const context = fc.record({
  mode: fc.constantFrom('default' as const, 'default', 'always', 'never'),
  open: fc.constant(['open1', 'open2']),
});
