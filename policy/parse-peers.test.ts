import { refuses, rule } from './refusal.test-support.ts';

const SELECTOR = '$[0].ingress[0].fromEndpoints[0]';

refuses([
  {
    name: 'null for a list of peers',
    text: 'endpointSelector: {}\ningress:\n- fromEndpoints:\n',
    says: 'f:3:17: $.ingress[0].fromEndpoints: is empty (null); write a list',
  },
  {
    name: 'two kinds of peers in one item',
    text: rule({ fromEndpoints: [{}], fromCIDR: ['10.0.0.0/8'] }),
    says: '$[0].ingress[0]: combining fromEndpoints and fromCIDR is not supported; write two items',
  },
  {
    name: 'CIDR with host bits',
    text: rule({ fromCIDR: ['10.0.0.1/8'] }),
    says: 'has host bits set; write 10.0.0.0/8',
  },
  {
    name: 'no CIDR',
    text: rule({ fromCIDR: ['10.0/8'] }),
    says: '"10.0/8" is not a CIDR; write address/length',
  },
  { name: 'CIDR too long', text: rule({ fromCIDR: ['10.0.0.0/33'] }), says: 'the length goes from 0 to 32' },
  {
    name: 'IPv4 in IPv6 form',
    text: rule({ fromCIDR: ['::ffff:10.0.0.0/104'] }),
    says: 'is IPv4 in IPv6 form; write it as IPv4',
  },
  {
    name: 'bare address in a CIDR set',
    text: rule({ fromCIDRSet: [{ cidr: '10.0.0.1' }] }),
    says: 'has no length; write',
  },
  {
    name: 'exception outside',
    text: rule({ fromCIDRSet: [{ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }] }),
    says: '.except[0]: 11.0.0.0/16 is not within 10.0.0.0/8',
  },
  {
    name: 'CIDR group',
    text: rule({ fromCIDRSet: [{ cidrGroupRef: 'x' }] }),
    says: 'CIDR groups are not supported yet',
  },
  {
    name: 'unknown entity',
    text: rule({ fromEntities: ['wold'] }),
    says: '"wold" is no entity; did you mean "world"?',
  },
  {
    name: 'requirements that would let anybody in on a port',
    text: rule({ fromRequires: [{}], toPorts: [{ ports: [{ port: 80 }] }] }),
    says: '$[0].ingress[0]: has fromRequires and toPorts but no peer; fromRequires only narrows; name the peer',
  },
  {
    name: 'requirements under a deny',
    text: '[{"endpointSelector": {}, "egressDeny": [{"toEntities": ["all"], "toRequires": [{}]}]}]',
    says: '$[0].egressDeny[0]: has toRequires under a deny; toRequires narrows what is allowed',
  },
  {
    name: 'illegal label value',
    text: rule({ fromEndpoints: [{ matchLabels: { id: 'a b' } }] }),
    says: `${SELECTOR}.matchLabels.id: "a b" is no label value`,
  },
  {
    name: 'illegal label key',
    text: rule({ fromEndpoints: [{ matchLabels: { 'a b': 'x' } }] }),
    says: `${SELECTOR}.matchLabels["a b"]: "a b" is no label key`,
  },
  {
    name: 'number as a label value',
    text: 'endpointSelector: {matchLabels: {v: 1.10}}\ningress: [{}]',
    says: 'f:1:37: $.endpointSelector.matchLabels.v: is a number; write a text, "1.10"',
  },
  {
    name: 'the world as a label',
    text: rule({ fromEndpoints: [{ matchLabels: { 'reserved:world': '' } }] }),
    says: 'is no endpoint; name it with an entity',
  },
  {
    name: 'a source that no endpoint has',
    text: rule({ fromEndpoints: [{ matchLabels: { 'cidr:x': '' } }] }),
    says: 'no endpoint has labels of source cidr',
  },
  {
    name: 'a label that weir never gives',
    text: rule({ fromEndpoints: [{ matchLabels: { 'weir:net': 'x' } }] }),
    says: 'did you mean "weir:network"?',
  },
  {
    name: 'unknown operator',
    text: rule({ fromEndpoints: [{ matchExpressions: [{ key: 'id', operator: 'inn', values: ['a'] }] }] }),
    says: `${SELECTOR}.matchExpressions[0].operator: "inn" is no operator; did you mean "In"?`,
  },
  {
    name: 'In without values',
    text: rule({ fromEndpoints: [{ matchExpressions: [{ key: 'id', operator: 'In' }] }] }),
    says: 'has no values for In',
  },
  {
    name: 'Exists with values',
    text: rule({ fromEndpoints: [{ matchExpressions: [{ key: 'id', operator: 'Exists', values: ['a'] }] }] }),
    says: 'has values for Exists',
  },
]);
