import assert from 'node:assert/strict';
import test from 'node:test';
import type { Connection } from '../datapath/index.ts';
import { parsePolicy } from '../policy/index.ts';
import { partsOf } from './fakes.ts';
import { previewOf } from './policy-preview.ts';
import type { Parts } from './parts.ts';
import { faults } from './schema-check.ts';

const LABELS = new Map([
  [1, ['reserved:host']],
  [2, ['reserved:world']],
  [300, ['container:id=web', 'weir:network=app']],
  [301, ['container:id=client', 'weir:network=app']],
  [302, ['container:id=inner', 'weir:network=inner']],
]);
const ADDRESSES = { web: '10.210.0.1', client: '10.210.0.2', twin: '10.210.0.3', inner: '10.210.0.4' };
const IDENTITIES = { web: 300, client: 301, twin: 301, inner: 302 };
const NAMES = ['web', 'client', 'twin', 'inner'] as const;

function connection(change: Partial<Connection>): Connection {
  return {
    ...{ source: ADDRESSES.client, sourcePort: 40_000, destination: ADDRESSES.web, destinationPort: 80 },
    ...{ protocol: 6, sourceIdentity: 301, destinationIdentity: 300, expiresSeconds: 9, generation: 1 },
    ...{ replied: true, closing: false, published: false, message: 0 },
    ...change,
  };
}

function partsWith(connections: Connection[]): Parts {
  const endpoints = NAMES.map((name, at) => {
    const identity = IDENTITIES[name];
    return { key: name, endpointId: at + 1, containerName: name, ipv4: ADDRESSES[name], ipv6: '', identity };
  });
  const owned = endpoints.map(({ identity }) => ({ owner: { identity, noWorld: identity === 302 } }));
  const spaces: Record<string, number> = { app: 2, inner: 3 };
  return partsOf({
    endpoints: { list: () => endpoints },
    datapath: {
      endpoints: { list: () => owned },
      services: { list: () => [{ key: 'web', protocol: 'tcp', port: 8080 }] },
      conntrack: { list: () => Promise.resolve(connections) },
      enforcement: { context: { mode: 'default', spaceOf: (name: string) => spaces[name] ?? 0 } },
    },
    policy: { revision: 8 },
    labelsOf: (id: number) => LABELS.get(id) ?? [],
  });
}

async function preview(text: string, connections: Connection[] = [], before = '[]') {
  const [rules, imported] = [before, text].map((each) => parsePolicy(each, 'test'));
  assert.ok(rules && imported);
  const plan = { revision: 7, before: rules, after: imported, count: imported.length };
  const answer = await previewOf(partsWith(connections), plan);
  assert.deepEqual(faults({ $ref: '#/components/schemas/PolicyPreview' }, answer), []);
  return answer;
}

const WEB_FOR_TWO = `[{endpointSelector: {matchLabels: {id: web}}, ingress: [
  {fromEndpoints: [{matchLabels: {id: client}}], toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]}]`;

test('containers are told by their names, what is outside by what it is', async () => {
  const { changes, revision, count } = await preview(WEB_FOR_TWO);
  assert.deepEqual([revision, count], [7, 1]);
  const lines = changes.map(({ source, destination, protocol, except, ports, after }) => {
    const from = source.containers.join('+') || source.labels.join();
    return `${from} > ${destination.containers.join('+')} ${protocol}-${except.join()} ${ports} ${after}`;
  });
  assert.deepEqual(lines, [
    'reserved:host > web any- any denied',
    'reserved:world > web TCP- 8080 denied',
    'web > web any- any denied',
    'client+twin > web any-TCP any denied',
    'client+twin > web TCP- 0-79 denied',
    'client+twin > web TCP- 81-65535 denied',
  ]);
});

test('live connections that would end or go on are told with both ends', async () => {
  const { connections } = await preview(WEB_FOR_TWO, [
    connection({}),
    connection({ destinationPort: 443 }),
    connection({ source: '10.0.0.9', sourceIdentity: 1 }),
    connection({ protocol: 1, destinationPort: 4711 }),
    connection({ source: '192.0.2.9', sourceIdentity: 2, destinationPort: 8080, published: true }),
    connection({
      source: ADDRESSES.web,
      sourceIdentity: 300,
      destination: '192.0.2.1',
      destinationIdentity: 2,
    }),
  ]);
  assert.deepEqual(
    connections.map(({ protocol, source, destination, before, after }) => {
      return [protocol, source.containerName ?? source.labels[0], destination.port, before, after];
    }),
    [
      ['TCP', 'client', 443, 'allowed', 'denied'],
      ['TCP', 'reserved:host', 80, 'allowed', 'denied'],
      ['ICMPv4', 'client', undefined, 'allowed', 'denied'],
      ['TCP', 'reserved:world', 8080, 'allowed', 'denied'],
    ],
  );
});

test('a message that is no echo is judged by its own type', async () => {
  const ping = `[{endpointSelector: {matchLabels: {id: web}}, ingress: [{icmps: [{fields: [{type: Timestamp}]}]}]}]`;
  const messages = [0, 13].map((message) => connection({ protocol: 1, destinationPort: 0, message }));
  const { connections } = await preview(ping, messages);
  assert.deepEqual(
    connections.map(({ after }) => after),
    ['denied'],
  );
});

test('the address outside of a connection counts as the range that the new policy names', async () => {
  const deny = `[{endpointSelector: {matchLabels: {id: web}}, enableDefaultDeny: {egress: false},
    egressDeny: [{toCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}]}]}]`;
  const out = { source: ADDRESSES.web, sourceIdentity: 300, destinationIdentity: 2 };
  const to = (destination: string): Connection => connection({ ...out, destination });
  const { connections } = await preview(deny, ['192.0.2.1', '192.0.2.129', '198.51.100.1'].map(to));
  assert.deepEqual(
    connections.map(({ destination }) => destination.ip),
    ['192.0.2.1'],
  );
});

test('an internal network and the outside do not meet, so nothing changes between them', async () => {
  const open = `[{endpointSelector: {matchLabels: {id: inner}}, ingress: [{fromEntities: [all]}], egress: [{toEntities: [none]}]}]`;
  const { changes } = await preview(open);
  const peers = new Set(
    changes.flatMap(({ source, destination }) => [source.labels[0], destination.labels[0]]),
  );
  assert.ok(peers.has('reserved:host') && !peers.has('reserved:world'));
});

test('rules that come and go are counted, one that stays is neither', async () => {
  const other = '[{endpointSelector: {}, ingress: [{}]}]';
  const both = `${WEB_FOR_TWO}\n---\n${other}`;
  const { added, removed } = await preview(both, [], WEB_FOR_TWO);
  assert.deepEqual([added, removed], [1, 0]);
  const back = await preview(WEB_FOR_TWO, [], both);
  assert.deepEqual([back.added, back.removed], [0, 1]);
  assert.deepEqual((await preview(both, [connection({})], both)).changes, []);
});

test('of too many changes the first are listed and the others counted', async () => {
  const many = Array.from({ length: 1003 }, (_, at) => connection({ destinationPort: 1000 + at }));
  const { connections, moreConnections } = await preview(WEB_FOR_TWO, many);
  assert.deepEqual([connections.length, moreConnections], [1000, 3]);
});

/** How often others had their turn meanwhile. */
async function turnsDuring(task: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns++;
    next = setImmediate(turn);
  });
  await task();
  clearImmediate(next);
  return turns;
}

test('others have their turn however many connections there are', async () => {
  const many = Array.from({ length: 2000 }, (_, at) => connection({ sourcePort: at }));
  const without = await turnsDuring(() => preview(WEB_FOR_TWO));
  assert.ok((await turnsDuring(() => preview(WEB_FOR_TWO, many))) > without + 4);
});
