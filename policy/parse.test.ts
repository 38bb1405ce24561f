import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { UserError } from '../base/index.ts';
import { parsePolicy } from './parse.ts';
import * as random from './random-policy.test-support.ts';

/** A rule with one ingress item, or with other sections. */
function rule(item: object, sections: object = {}): string {
  return JSON.stringify([{ endpointSelector: {}, ingress: [item], ...sections }]);
}

function ports(...specs: unknown[]): string {
  return rule({ toPorts: [{ ports: specs }] });
}

function icmp(...fields: unknown[]): string {
  return rule({ icmps: [{ fields }] });
}

const SELECTOR = '$[0].ingress[0].fromEndpoints[0]';

const REFUSED: { name: string; text: string; says: string }[] = [
  { name: 'no text', text: '', says: 'f:1:1: $: is empty; write [] for no rules' },
  { name: 'only empty documents', text: '---\n---\n', says: '$: is empty; write [] for no rules' },
  { name: 'not a rule', text: '5', says: 'f:1:1: $: is a number; write a list, [...]' },
  { name: 'broken JSON', text: '[{"a": ', says: 'f:1:8: $: ' },
  {
    name: 'unknown field',
    text: '[{"ingres": []}]',
    says: '$[0].ingres: is an unknown field; did you mean "ingress"?',
  },
  {
    name: 'unknown field near nothing',
    text: '[{"xyzzy": 1}]',
    says: 'use one of labels, description, endpointSelector, ',
  },
  {
    name: 'no subject',
    text: '[{"ingress": [{}]}]',
    says: 'f:1:2: $[0]: has no endpointSelector; say whom the rule is for; {} is every endpoint',
  },
  { name: 'no section', text: '[{"endpointSelector": {}}]', says: '$[0]: has no effect; give it ingress, ' },
  {
    name: 'empty section',
    text: '[{"endpointSelector": {}, "ingress": []}]',
    says: '$[0].ingress: is empty; [{}] allows nobody',
  },
  {
    name: 'empty deny item',
    text: '[{"endpointSelector": {}, "egressDeny": [{}]}]',
    says: '$[0].egressDeny[0]: denies nobody; to deny everybody write entity "all"',
  },
  {
    name: 'the same key twice',
    text: '[{"endpointSelector": {}, "ingress": [{}], "ingress": [{}]}]',
    says: 'f:1:55: $[0].ingress: is given twice; keep one of the two',
  },
  {
    name: 'the same key in two cases',
    text: '[{"endpointSelector": {}, "ingress": [{}], "Ingress": [{}]}]',
    says: '$[0].Ingress: is ingress a second time',
  },
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
  { name: 'ports without a port', text: ports(), says: '.toPorts[0].ports: names no port' },
  { name: 'no port', text: ports({ protocol: 'TCP' }), says: '.ports[0]: has no port' },
  {
    name: 'hexadecimal port',
    text: ports({ port: '0x50' }),
    says: '"0x50" is no port; write a decimal number',
  },
  { name: 'octal port', text: ports({ port: '0120' }), says: '"0120" is no port' },
  {
    name: 'port beyond 65535',
    text: ports({ port: 65536 }),
    says: 'f:1:66: $[0].ingress[0].toPorts[0].ports[0].port: 65536 is no port',
  },
  { name: 'negative port', text: ports({ port: -1 }), says: '"-1" is no port' },
  { name: 'fraction of a port', text: ports({ port: 80.5 }), says: '"80.5" is no port' },
  {
    name: 'port of another type',
    text: ports({ port: true }),
    says: 'is a boolean; write a number or a text',
  },
  { name: 'unknown service', text: ports({ port: 'htpp' }), says: 'did you mean "http"?' },
  {
    name: 'protocol without ports',
    text: ports({ port: '0', protocol: 'ICMP' }),
    says: '"ICMP" has no ports',
  },
  { name: 'unknown protocol', text: ports({ port: 1, protocol: 'TPC' }), says: 'did you mean "TCP"?' },
  { name: 'later protocol', text: ports({ port: 0, protocol: 'VRRP' }), says: 'not supported yet' },
  { name: 'no type of message', text: rule({ icmps: [{ fields: [] }] }), says: '.fields: names no type' },
  { name: 'messages without fields', text: rule({ icmps: [{}] }), says: '.icmps[0]: names no type' },
  { name: 'message without a type', text: icmp({ family: 'IPv4' }), says: '.fields[0]: has no type' },
  {
    name: 'type beyond 255',
    text: icmp({ type: 256 }),
    says: '"256" is no ICMP type of IPv4; write a number',
  },
  { name: 'hexadecimal type', text: icmp({ type: '0x8' }), says: '"0x8" is no ICMP type' },
  { name: 'negative type', text: icmp({ type: -1 }), says: '"-1" is no ICMP type' },
  { name: 'type of an object', text: icmp({ type: 'constructor' }), says: 'is no ICMP type' },
  {
    name: 'type of the other family',
    text: icmp({ type: 'PacketTooBig' }),
    says: 'f:1:65: $[0].ingress[0].icmps[0].fields[0].type: "PacketTooBig" is no ICMP type of IPv4',
  },
  {
    name: 'type misspelt',
    text: icmp({ family: 'IPv6', type: 'EchoRequst' }),
    says: 'is no ICMP type of IPv6; write "EchoRequest"',
  },
  {
    name: 'family',
    text: icmp({ family: 'IPv5', type: 8 }),
    says: '"IPv5" is no family; did you mean "IPv4"?',
  },
  {
    name: 'ports and messages in one item',
    text: rule({ toPorts: [], icmps: [{ fields: [{ type: 8 }] }] }),
    says: '$[0].ingress[0].icmps: cannot go with toPorts; write two items, which are ORed',
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
  { name: 'log without a value', text: rule({}, { log: {} }), says: '$[0].log: has no value' },
  { name: 'log too long', text: rule({}, { log: { value: 'x'.repeat(33) } }), says: 'at most 32 printable' },
  {
    name: 'log with control characters',
    text: rule({}, { log: { value: 'a\nb' } }),
    says: '$[0].log.value: "a',
  },
  { name: 'range backwards', text: ports({ port: 80, endPort: 79 }), says: '79 is below port 80' },
  { name: 'range of everything', text: ports({ port: 0, endPort: 79 }), says: 'cannot go with port 0' },
  { name: 'range from a name', text: ports({ port: 'http', endPort: 90 }), says: 'starts with a name' },
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
  {
    name: 'rule label',
    text: rule({}, { labels: [{ key: '' }] }),
    says: '$[0].labels[0]: "unspec:" is no label',
  },
  {
    name: 'rule label source',
    text: rule({}, { labels: [{ key: 'a', source: 'x' }] }),
    says: 'is no source of labels',
  },
  {
    name: 'default deny as text',
    text: rule({}, { enableDefaultDeny: { ingress: 'no' } }),
    says: 'write true or false',
  },
  { name: 'alias', text: 'endpointSelector: &a {}\ningress: [{fromEndpoints: [*a]}]', says: 'is an alias' },
  { name: 'unknown tag', text: '!x {endpointSelector: {}}', says: 'Unresolved tag' },
  { name: 'deep nesting', text: '['.repeat(100_000), says: 'is nested too deeply' },
  { name: 'deep indentation', text: '- '.repeat(50_000), says: 'is nested too deeply' },
];

for (const { name, text, says } of REFUSED) {
  test(`refused, with the place and advice: ${name}`, () => {
    assert.throws(
      () => parsePolicy(text, 'f'),
      (error) => {
        assert.ok(error instanceof UserError && error.code === 'POLICY_INVALID');
        assert.match(error.message, /^f:\d+:\d+: \$/);
        assert.ok(error.message.includes(says), error.message);
        return true;
      },
    );
  });
}

const L7 = (rules: object): string =>
  rule({
    fromEndpoints: [{ matchLabels: { id: 'a' } }],
    toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }], rules }],
  });
const NOT_YET: [name: string, text: string][] = [
  ['http', L7({ http: [{ method: 'GET', path: '/public/.*' }] })],
  ['HTTP in capitals', L7({ HTTP: [{ method: 'GET' }] })],
  ['kafka', L7({ kafka: [{ role: 'produce', topic: 'topic1' }] })],
  ['headers', L7({ http: [{ headers: ['X-Token: [0-9]+'] }] })],
  ['an empty L7 list', L7({})],
  ['L7 under deny', '[{endpointSelector: {}, ingressDeny: [{toPorts: [{ports: [{port: 80}], RULES: {}}]}]}]'],
  ['authentication', rule({ authentication: {} })],
  ['fromGroups', rule({ fromGroups: [] })],
  ['fromNodes', rule({ fromNodes: [] })],
  ...['toFQDNs', 'toServices', 'toGroups', 'toNodes', 'authentication'].map((name): [string, string] => [
    name,
    `endpointSelector: {}\negress: [{${name}: []}]`,
  ]),
  ['nodeSelector', '[{nodeSelector: {}, ingress: [{}]}]'],
  ['server names', rule({ toPorts: [{ ports: [{ port: 443 }], serverNames: ['a.io'] }] })],
];

for (const [name, text] of NOT_YET) {
  test(`refused as not supported yet, never ignored: ${name}`, () => {
    assert.throws(() => parsePolicy(text, 'f'), /^UserError: f:\d+:\d+: \$\S+: .* not supported yet; /);
  });
}

test('keys match whatever their case; names, addresses and protocols come out canonical', () => {
  const text = `
    - ENDPOINTSELECTOR: {MATCHLABELS: {Id: app1}}
      labels: ["b=2", {Key: a, value: "1"}, {key: x, source: k8s}, b=2]
      Ingress:
      - FromCidr: [10.0.0.0/8, 192.0.2.1, "FD00:0::/16"]
        ToPorts: [{Ports: [{Port: HTTP, Protocol: tcp}, {port: 8000, ENDPORT: 8010}, {port: "53", endPort: 0}]}]
      egressdeny: [{toentities: [world]}]
      EnableDefaultDeny: {egress: false}`;
  assert.deepEqual(parsePolicy(text, 'f'), [
    {
      labels: ['k8s:x', 'unspec:a=1', 'unspec:b=2'],
      endpointSelector: { matchLabels: { Id: 'app1' } },
      ingress: [
        {
          fromCIDR: ['10.0.0.0/8', '192.0.2.1/32', 'fd00::/16'],
          toPorts: [
            {
              ports: [
                { port: 'http', protocol: 'TCP' },
                { port: '8000', endPort: 8010, protocol: 'ANY' },
                { port: '53', protocol: 'ANY' },
              ],
            },
          ],
        },
      ],
      egressDeny: [{ toEntities: ['world'] }],
      enableDefaultDeny: { egress: false },
    },
  ]);
});

test('messages are named by number or name in either family, and come out as numbers', () => {
  const text = icmp(
    { type: 8 },
    { type: '3', family: 'ipv4' },
    { TYPE: 'echorequest', Family: 'IPv6' },
    { type: 'EchoReply' },
    { type: 'ExtendedEchoReply', family: 'IPv6' },
  );
  assert.deepEqual(parsePolicy(text, 'f')[0]?.ingress, [
    {
      icmps: [
        {
          fields: [
            { family: 'IPv4', type: 8 },
            { family: 'IPv4', type: 3 },
            { family: 'IPv6', type: 128 },
            { family: 'IPv4', type: 0 },
            { family: 'IPv6', type: 161 },
          ],
        },
      ],
    },
  ]);
});

const SHAPES: [name: string, text: string, count: number][] = [
  ['a list of rules', '[{"endpointSelector": {}, "ingress": [{}]}]', 1],
  ['a single rule', '{"endpointSelector": {}, "ingress": [{}]}', 1],
  ['no rules', '[]', 0],
  ['tabs', '[\n\t{\n\t\t"endpointSelector":\t{},\n\t\t"ingress": [{}]\n\t}\n]\n', 1],
  ['comments', '# a rule\n- endpointSelector: {} # all\n  ingress: [{}]\n', 1],
  [
    'several documents',
    'endpointSelector: {}\ningress: [{}]\n---\n- endpointSelector: {}\n  egress: [{}]\n',
    2,
  ],
  ['empty documents', '---\n---\n- endpointSelector: {}\n  ingress: [{}]\n---\n', 1],
  ['a byte order mark', '\ufeff{"endpointSelector": {}, "ingress": [{}]}', 1],
  ['Windows line ends', '- endpointSelector: {}\r\n  ingress: [{}]\r\n', 1],
];

for (const [name, text, count] of SHAPES) {
  test(`read: ${name}`, () => assert.equal(parsePolicy(text, 'f').length, count));
}

test('rules printed as JSON are read as the same rules', () => {
  fc.assert(
    fc.property(random.rules, (texts) => {
      const rules = parsePolicy(JSON.stringify(texts), 'f');
      assert.deepEqual(parsePolicy(JSON.stringify(rules), 'f'), rules);
    }),
    { numRuns: 200 },
  );
});

test('JSON read with and without positions is the same', () => {
  fc.assert(
    fc.property(random.rules, (texts) => {
      const text = JSON.stringify(texts);
      // A comment makes it YAML, which is read the other way.
      assert.deepEqual(parsePolicy(`${text} # x`, 'f'), parsePolicy(text, 'f'));
    }),
    { numRuns: 200 },
  );
});

function survives(text: string): void {
  try {
    parsePolicy(text, 'f');
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, /^f:\d+:\d+: \$[^\n\r]*; [^\n\r]+$/);
  }
}

test('whatever the text, the answer is rules or one line', () => {
  const pieces = fc.constantFrom(
    ...[
      '[',
      ']',
      '{',
      '}',
      ',',
      ':',
      '-',
      ' ',
      '\n',
      '\t',
      '"',
      "'",
      '&a',
      '*a',
      '!',
      '!!set',
      '|',
      '>',
      '?',
      '%',
      '#',
    ],
    ...[
      'endpointSelector',
      'ingress',
      'toPorts',
      'ports',
      'port',
      '80',
      'null',
      '---',
      '<<',
      '\u0000',
      '\u2028',
      '😀',
    ],
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => survives(parts.join(''))),
    { numRuns: 1500 },
  );
  fc.assert(fc.property(fc.string({ unit: 'binary' }), survives), { numRuns: 1000 });
});

test('a rule with anything anywhere is rules or one line', () => {
  fc.assert(
    fc.property(random.rules, fc.anything(), fc.nat(), (rules, junk, at) => {
      const text = JSON.stringify(rules);
      const spots = [...text.matchAll(/"[^"]*"|\[|\{/g)];
      const spot = spots[at % Math.max(spots.length, 1)];
      if (spot === undefined) return;
      const end = spot.index + spot[0].length;
      survives(`${text.slice(0, spot.index)}${JSON.stringify(junk)}${text.slice(end)}`);
      survives(`${text.slice(0, spot.index)}${text.slice(end)}`);
      survives(`${text.slice(0, end)}${JSON.stringify(junk)},${text.slice(end)}`);
    }),
    { numRuns: 300 },
  );
});

test('10,000 rules are read in well under the time that positions would take', () => {
  const one = {
    endpointSelector: { matchLabels: { id: 'a' } },
    ingress: [{ toPorts: [{ ports: [{ port: '80' }] }] }],
  };
  const text = JSON.stringify(Array.from({ length: 10_000 }, () => one));
  assert.equal(parsePolicy(text, 'f').length, 10_000);
});
