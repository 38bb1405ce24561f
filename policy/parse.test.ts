import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { Lexer } from 'yaml';
import { parsePolicy } from './parse.ts';
import * as random from './random-policy.test-support.ts';
import { refuses, rule, spoil, survives } from './refusal.test-support.ts';

refuses([
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
  { name: 'log without a value', text: rule({}, { log: {} }), says: '$[0].log: has no value' },
  { name: 'log too long', text: rule({}, { log: { value: 'x'.repeat(33) } }), says: 'at most 32 printable' },
  {
    name: 'log with control characters',
    text: rule({}, { log: { value: 'a\nb' } }),
    says: '$[0].log.value: "a',
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
]);

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

test('whatever the text, the answer is rules or one line', () => {
  const marks = ['[', ']', '{', '}', ',', ':', '-', ' ', '\n', '\t', '"', "'"];
  const yaml = ['&a', '*a', '!', '!!set', '|', '>', '?', '%', '#', '---', '<<'];
  const words = ['endpointSelector', 'ingress', 'toPorts', 'ports', 'port', '80', 'null'];
  const pieces = fc.constantFrom(...marks, ...yaml, ...words, '\u0000', '\u2028', '😀');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => survives(parts.join(''))),
    { numRuns: 1500 },
  );
  fc.assert(fc.property(fc.string({ unit: 'binary' }), survives), { numRuns: 1000 });
});

test('a rule with anything anywhere is rules or one line', () => {
  fc.assert(
    fc.property(random.rules, fc.anything(), fc.nat(), (rules, junk, at) => {
      for (const text of spoil(JSON.stringify(rules), junk, at)) survives(text);
    }),
    { numRuns: 300 },
  );
});

test('10,000 rules are read without positions, which take many times as long', (t) => {
  const one = {
    endpointSelector: { matchLabels: { id: 'a' } },
    ingress: [{ toPorts: [{ ports: [{ port: '80' }] }] }],
  };
  const text = JSON.stringify(Array.from({ length: 10_000 }, () => one));
  const { mock: lexed } = t.mock.method(Lexer.prototype, 'lex');
  assert.equal(parsePolicy(text, 'f').length, 10_000);
  assert.equal(lexed.callCount(), 0);
  parsePolicy(`${JSON.stringify(one)} # read as YAML`, 'f');
  assert.equal(lexed.callCount(), 1, 'positions come from the lexer');
});
