import assert from 'node:assert/strict';
import test from 'node:test';
import { mergeRules } from './merge.ts';
import { parsePolicy } from './parse.ts';
import { refuses } from './refusal.test-support.ts';

const COMPOSE = `
name: shop
x-common: &common
  restart: always
services:
  web:
    <<: *common
    image: demo
    ports: ["80:80"]
    x-weir-policy:
      ingress: [{fromEntities: [world]}]
  db:
    <<: [*common]
    image: demo
    x-weir-policy:
    - labels: [mine=1]
      ingress: [{fromEndpoints: [{matchLabels: {com.docker.compose.service: web}}]}]
    - egress: [{}]
  idle: *common
  none:
x-weir-policy:
- endpointSelector: {matchLabels: {com.docker.compose.project: shop}}
  egressDeny: [{toPorts: [{ports: [{port: smtp, protocol: TCP}]}]}]
networks:
  shop: {driver: weir}
`;
const STACK = 'weir:stack=shop';

function serviceOf(name: string): object {
  return { matchLabels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': name } };
}

test('a compose file carries rules at the top and in services, under the name of its project', () => {
  assert.deepEqual(parsePolicy(COMPOSE, 'f'), [
    {
      labels: [STACK],
      endpointSelector: { matchLabels: { 'com.docker.compose.project': 'shop' } },
      egressDeny: [{ toPorts: [{ ports: [{ port: 'smtp', protocol: 'TCP' }] }] }],
    },
    { labels: [STACK], endpointSelector: serviceOf('web'), ingress: [{ fromEntities: ['world'] }] },
    {
      labels: ['unspec:mine=1', STACK],
      endpointSelector: serviceOf('db'),
      ingress: [{ fromEndpoints: [{ matchLabels: { 'com.docker.compose.service': 'web' } }] }],
    },
    { labels: [STACK], endpointSelector: serviceOf('db'), egress: [{}] },
  ]);
});

test('what it becomes is read again as the same rules', () => {
  const rules = parsePolicy(COMPOSE, 'f');
  assert.deepEqual(parsePolicy(JSON.stringify(rules), 'f'), rules);
});

test('importing the file again replaces all rules of the stack, and no others', () => {
  const other = parsePolicy('[{endpointSelector: {}, ingress: [{}]}]', 'f');
  const current = [...parsePolicy(COMPOSE, 'f'), ...other];
  const changed = parsePolicy('{name: shop, x-weir-policy: {endpointSelector: {}, egress: [{}]}}', 'f');
  assert.deepEqual(mergeRules(current, changed, { replaceAll: false }), [...changed, ...other]);
});

test('without a project name the rules at the top are as in any file', () => {
  const text = 'services: {web: {image: a}}\nX-Weir-Policy: [{endpointSelector: {}, ingress: [{}]}]';
  assert.deepEqual(parsePolicy(text, 'f'), [{ endpointSelector: {}, ingress: [{}] }]);
});

const RULE = '{ingress: [{}]}';
refuses(
  [
    { name: 'no rules', text: 'services: {web: {image: a}}', says: 'f:1:1: $: has no x-weir-policy; add it' },
    {
      name: 'a service without a project',
      text: `services:\n  web:\n    x-weir-policy: ${RULE}`,
      says: 'f:3:20: $.services.web["x-weir-policy"]: is in a file without a project name; add name:',
    },
    {
      name: 'a project name to be filled in',
      text: `{name: "\${STACK}", x-weir-policy: ${RULE}}`,
      says: '$.name: "${STACK}" is no plain name of a project',
    },
    {
      name: 'a project name that no label can have',
      text: `{name: shop-, x-weir-policy: ${RULE}}`,
      says: '"shop-"',
    },
    {
      name: 'subjects in a service',
      text: `{name: a, services: {web: {x-weir-policy: {endpointSelector: {}, ingress: [{}]}}}}`,
      says: '.endpointSelector: is given, but the rule is for the service it stands in',
    },
    {
      name: 'no subjects at the top',
      text: `{x-weir-policy: ${RULE}}`,
      says: '$["x-weir-policy"]: has no endpointSelector',
    },
    {
      name: 'another name',
      text: `{x-weir-policies: ${RULE}}`,
      says: '$["x-weir-policies"]: is not read here; x-weir-policy stands at the top or in a service',
    },
    {
      name: 'another place',
      text: `{services: {web: {deploy: [{x-weir-policy: ${RULE}}]}}}`,
      says: '$.services.web.deploy[0]["x-weir-policy"]: is not read here',
    },
    {
      name: 'rules to be merged in',
      text: `{x-base: &base {x-weir-policy: ${RULE}}, services: {web: {<<: *base}}}`,
      says: '$["x-base"]["x-weir-policy"]: is not read here',
    },
    {
      name: 'rules of another service by its anchor',
      text: `{name: a, services: {web: &web {x-weir-policy: ${RULE}}, api: *web}}`,
      says: '$.services.api: takes over the x-weir-policy of another service',
    },
    {
      name: 'rules of another service merged in',
      text: `{name: a, services: {web: &web {x-weir-policy: ${RULE}}, api: {<<: [*web]}}}`,
      says: '$.services.api["<<"][0]: takes over',
    },
    {
      name: 'rules behind an alias',
      text: `{x-rules: &rules [{endpointSelector: {}, ingress: [{}]}], x-weir-policy: *rules}`,
      says: '$["x-weir-policy"]: is an alias; write the value out',
    },
    {
      name: 'a service that no label can name',
      text: `{name: a, services: {web_: {x-weir-policy: ${RULE}}}}`,
      says: 'is of "web_", which no label can name',
    },
    {
      name: 'a mistake in a rule',
      text: `name: a\nservices:\n  web:\n    x-weir-policy:\n    - ingres: []`,
      says: 'f:5:15: $.services.web["x-weir-policy"][0].ingres: is an unknown field; did you mean "ingress"?',
    },
  ],
  ' in a compose file',
);
