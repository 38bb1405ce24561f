import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { RESERVED } from '../identity/index.ts';
import { compile } from './compile.ts';
import { Identities, contextOf } from './identities.test-support.ts';
import type { Peer } from './isolation.ts';
import { type ModelContext, type ModelPeer, model } from './model.test-support.ts';
import { parsePolicy } from './parse.ts';
import * as random from './random-policy.test-support.ts';
import type { Rule } from './rule.ts';
import { PolicyComparison, type VerdictChange } from './verdict-change.ts';

interface Connection {
  source: ModelPeer;
  destination: ModelPeer;
  protocol: number;
  port: number;
}

function modelAllows(
  rules: Rule[],
  { source, destination, ...packet }: Connection,
  context: ModelContext,
): boolean {
  const sides = [
    { direction: 'egress' as const, subject: source, peer: destination },
    { direction: 'ingress' as const, subject: destination, peer: source },
  ];
  return sides.every((side) => {
    const isFree = side.subject.kind === 'reserved' || side.subject.kind === 'address';
    return isFree || model(rules, { ...packet, ...side }, context).reason === 0;
  });
}

test('a change is told where the model changes its mind, and nowhere else, for any two policies', () => {
  const seen = { same: 0, allowed: 0, denied: 0 };
  fc.assert(
    fc.property(
      fc.tuple(random.rules, random.rules, random.context),
      fc.array(random.peer, { minLength: 1, maxLength: 3 }),
      fc.array(random.subject, { minLength: 1, maxLength: 2 }),
      fc.array(random.flow, { minLength: 1, maxLength: 5 }),
      ([first, second, context], others, subjects, flows) => {
        const [before, after] = [first, second].map((texts) => parsePolicy(JSON.stringify(texts), 'random'));
        assert.ok(before && after);
        const cidrs = [...new Set([...compile(before).cidrs, ...compile(after).cidrs])];
        const identities = new Identities(cidrs);
        const parties = [...subjects, ...others];
        const peers = new Map(parties.map((peer) => identities.of(peer)).map((peer) => [peer.id, peer]));
        const known = [...peers.values()].filter(({ cidr }) => cidr === undefined);
        const comparison = new PolicyComparison(
          { before, after },
          { peers: known, context: contextOf(context) },
        );
        const changes = [...comparison.changes()].flat();
        for (const source of parties) {
          for (const destination of parties) {
            for (const { protocol, port } of flows) {
              const connection = { source, destination, protocol, port };
              const was: boolean = modelAllows(before, connection, context);
              const will: boolean = modelAllows(after, connection, context);
              const expected: keyof typeof seen = was === will ? 'same' : will ? 'allowed' : 'denied';
              const ends = [identities.of(source).labels.join(), identities.of(destination).labels.join()];
              assert.equal(told(changes, ends, { protocol, port }), expected, JSON.stringify(connection));
              const live = { source: endOf(source, identities), destination: endOf(destination, identities) };
              const verdicts = comparison.ofConnection({ ...live, protocol, port });
              assert.deepEqual(verdicts, { before: was, after: will }, JSON.stringify(connection));
              seen[expected]++;
            }
          }
        }
      },
    ),
    { numRuns: 250 },
  );
  assert.ok(Math.min(...Object.values(seen)) > 30, `one-sided test: ${JSON.stringify(seen)}`);
});

/** As a connection names it: outside there are only addresses. */
function endOf(peer: ModelPeer, identities: Identities): Peer | string {
  return peer.kind === 'address' ? peer.address : identities.of(peer);
}

/** What the changes say of one connection. */
function told(
  changes: VerdictChange[],
  [from, to]: string[],
  { protocol, port }: { protocol: number; port: number },
): string {
  const found = changes.filter((change) => {
    const isPair = change.source.labels.join() === from && change.destination.labels.join() === to;
    const isProtocol =
      change.protocol === 0 ? !change.except.includes(protocol) : change.protocol === protocol;
    return isPair && isProtocol && change.first <= port && port <= change.last;
  });
  assert.ok(found.length <= 1, 'told twice');
  return found[0]?.after ?? 'same';
}

const WEB: Peer = { id: 256, labels: ['container:id=web', 'weir:network=front'] };
const CLIENT: Peer = { id: 257, labels: ['container:id=client', 'weir:network=front'] };
const WORLD: Peer = { id: RESERVED.world, labels: ['reserved:world'] };

function changesBetween(before: Rule[], after: Rule[], peers: Peer[]): VerdictChange[] {
  const scene = { peers, context: contextOf({ mode: 'default' }) };
  return [...new PolicyComparison({ before, after }, scene).changes()].flat();
}

function changesOf(before: string, after: string, peers = [WEB, CLIENT, WORLD]): string[] {
  const [old, next] = [before, after].map((text) => parsePolicy(text, 'test'));
  return changesBetween(old ?? [], next ?? [], peers).map(
    ({ source, destination, protocol, first, last, after: verdict }) =>
      `${source.id} > ${destination.id} ${protocol}/${first}-${last} ${verdict}`,
  );
}

const PORT_80 =
  '[{endpointSelector: {matchLabels: {id: web}}, ingress: [{toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]}]';

test('the same policy changes nothing, also where its rules stand in another order', () => {
  const other = '{endpointSelector: {}, egress: [{toCIDR: [10.0.0.0/8]}]}';
  assert.deepEqual(changesOf(PORT_80, PORT_80), []);
  assert.deepEqual(changesOf(`${PORT_80}\n---\n${other}`, `${other}\n---\n${PORT_80}`), []);
});

test('a first rule closes all but its port, and opens it to the world', () => {
  const closed = ['0/0-65535', '6/0-79', '6/81-65535'];
  assert.deepEqual(
    new Set(changesOf('[]', PORT_80)),
    new Set([
      ...['256 > 256', '257 > 256'].flatMap((pair) => closed.map((ports) => `${pair} ${ports} denied`)),
      '2 > 256 6/80-80 allowed',
    ]),
  );
});

test('protocols that a policy names are told apart from all others', () => {
  const text =
    '[{endpointSelector: {matchLabels: {id: web}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: 0, protocol: TCP}]}]}]}]';
  const [old, next] = ['[]', text].map((each) => parsePolicy(each, 'test'));
  const [change, ...more] = changesBetween(old ?? [], next ?? [], [WEB]);
  assert.deepEqual(more, []);
  assert.deepEqual(change, {
    source: WEB,
    destination: WEB,
    protocol: 0,
    except: [6],
    first: 0,
    last: 65_535,
    after: 'denied',
  });
});

test('addresses come as the ranges that either policy names', () => {
  const text =
    '[{endpointSelector: {matchLabels: {id: web}}, egressDeny: [{toCIDR: [192.0.2.0/24]}], enableDefaultDeny: {egress: false}}]';
  assert.deepEqual(changesOf('[]', text, [WEB, WORLD]), ['256 > 16777217 0/0-65535 denied']);
  assert.deepEqual(changesOf(text, '[]', [WEB, WORLD]), ['256 > 16777217 0/0-65535 allowed']);
});
