/**
 * Random policies on random endpoints: the maps written as the agent writes them, real packets through the real programs,
 * `policy trace` and a model that reads the rules one by one must give the same verdicts, side by side. By published
 * ports too: from outside, and from another container by the host's address, which a trace between the two does not mean.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import type { Event } from '../../bpf/index.ts';
import { parsePolicy, trace } from '../../policy/index.ts';
import type { Rule, TracePort, TraceResult } from '../../policy/index.ts';
import { type ModelContext, type ModelPeer, model } from '../../policy/model.test-support.ts';
import * as random from '../../policy/random-policy.test-support.ts';
import { CASTS } from '../support/cast.ts';
import type { Cast, Role } from '../support/cast.ts';
import { needsLinux } from '../support/needs.ts';
import { Packet } from '../support/packet.ts';
import { arriving, entering, forwarded, leaving, packetFrom, packetTo } from './case.ts';
import type { Where } from './case.ts';
import { EnforcedRig, PLACES } from './enforced-rig.ts';
import { Rig } from './rig.ts';

const POLICIES = Number(process.env['WEIR_RANDOM_POLICIES'] ?? 200);
const FLOWS = 30;
const VERDICT = 5;
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 } as const;
/** A port of the host's, and who sends to it from outside. */
const FRONTEND = 20_080;
const NEXT_HOP = '02:88:00:00:00:02';
const OVER = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;

const rig = new Rig();
const enforced = new EnforcedRig(rig);
after(() => {
  enforced.close();
  rig.close();
});

type Direction = 'ingress' | 'egress';
type Protocol = keyof typeof PROTOCOLS;

interface Flow {
  cast: Cast;
  /** Places in the cast, or somebody who has no policy. */
  from: number | ModelPeer;
  to: number | ModelPeer;
  protocol: Protocol;
  /** Of whoever answers. */
  port: number;
  /** It goes to the host's port that is published for that one. */
  published: boolean;
}

const OUTSIDE = {
  IPv4: ['10.1.2.3', '10.1.2.4', '10.1.9.9', '10.2.0.1', '192.0.2.7', '192.0.2.200', '203.0.113.1'],
  IPv6: ['fd00:1::5', 'fd00:1::6', 'fd77::1', '2001:db8:5::1'],
};
const outsideOf = ({ family }: Cast): fc.Arbitrary<ModelPeer> =>
  fc.oneof(
    fc.constant<ModelPeer>({ kind: 'reserved', name: 'host' }),
    fc.constantFrom(...OUTSIDE[family]).map((address): ModelPeer => ({ kind: 'address', address })),
  );
const place = fc.nat({ max: PLACES.length - 1 });
const endsOf = (cast: Cast): fc.Arbitrary<[number | ModelPeer, number | ModelPeer]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.tuple(place, place).filter(([a, b]) => a !== b) },
    { weight: 1, arbitrary: fc.tuple(place, outsideOf(cast)) },
    { weight: 1, arbitrary: fc.tuple(outsideOf(cast), place) },
  );
const port = fc.constantFrom(1, 53, 63, 64, 79, 80, 81, 82, 127, 128, 443, 1023, 1024, 65_535);
/** Messages that open a flow: echo requests, and those that have no answer. */
const MESSAGES = { IPv4: [8, 8, 13, 80], IPv6: [128, 128, 8, 139] };
const flow: fc.Arbitrary<Flow> = fc.constantFrom(...CASTS).chain((cast) => {
  const { family } = cast;
  const parts = { ends: endsOf(cast), over: fc.constantFrom(...OVER), port, asked: fc.boolean() };
  const type = fc.constantFrom(...MESSAGES[family]);
  return fc.record({ ...parts, type }).map(({ ends: [from, to], over, port, asked, type }) => {
    const published = asked && canPublish({ from, to, over });
    if (over !== 'ICMP') return { cast, from, to, protocol: over, port, published };
    return { cast, from, to, protocol: family === 'IPv4' ? over : 'ICMPv6', port: type, published };
  });
});

/** The host's own connections to its ports are turned in its sockets and never are packets to them. */
function canPublish({ from, to, over }: Pick<Flow, 'from' | 'to'> & { over: string }): boolean {
  const isByPacket = typeof from === 'number' || from.kind === 'address';
  return isByPacket && typeof to === 'number' && (over === 'TCP' || over === 'UDP');
}

/** Whoever is in a place is on a network, or not known yet. */
const inhabitant = random.subject.filter((peer) => peer.kind !== 'endpoint' || peer.networks.length > 0);
const scene = fc.record({
  texts: random.rules,
  inhabitants: fc.array(inhabitant, { minLength: PLACES.length, maxLength: PLACES.length }),
  context: random.context,
  flows: fc.array(flow, { minLength: FLOWS, maxLength: FLOWS }),
});

let sourcePort = 1024;

/** A packet that opens a connection of its own. */
function opening(base: Packet, { protocol, port, published }: Flow): Packet {
  sourcePort = sourcePort === 60_999 ? 1024 : sourcePort + 1;
  const ports = { sourcePort, destinationPort: published ? FRONTEND : port };
  if (protocol === 'TCP') return base.tcp({ ...ports, flags: 'S' });
  if (protocol === 'UDP') return base.udp(ports);
  if (protocol === 'SCTP') return base.sctp(ports);
  return base.icmp({ type: port, id: sourcePort });
}

function addressOf(peer: ModelPeer, cast: Cast): string {
  return peer.kind === 'address' ? peer.address : cast.host.ip;
}

const ipOf = ({ ip4, ip6 }: Role, { family }: Cast): string => (family === 'IPv4' ? ip4 : ip6);

/** Where the datapath meets the flow, and how it looks there. */
function packetOf(flow: Flow): { where: Where; packet: Packet } {
  const { cast, from, to } = flow;
  const roleOf = (at: number): Role => PLACES[at]!;
  const { uplink } = cast;
  if (typeof from === 'number') {
    const inside = typeof to === 'number' ? ipOf(roleOf(to), cast) : addressOf(to, cast);
    const destination = flow.published ? uplink.ip : inside;
    return { where: leaving(roleOf(from)), packet: opening(packetFrom(roleOf(from), destination), flow) };
  }
  if (flow.published) {
    const frame = new Packet().ethernet({ source: NEXT_HOP, destination: uplink.mac });
    const packet = opening(frame.ip({ source: addressOf(from, cast), destination: uplink.ip }), flow);
    return { where: arriving, packet };
  }
  const receiver = roleOf(to as number);
  const where = from.kind === 'address' ? forwarded(receiver) : entering(receiver);
  return { where, packet: opening(packetTo(receiver, addressOf(from, cast)), flow) };
}

interface Verdict {
  reason: number;
  rule: number;
}

/** What the datapath decided, per side that it asked. */
function datapath(flow: Flow): Partial<Record<Direction, Verdict>> {
  // a message without an answer is the same flow each time
  for (const [key] of [...rig.maps.ct.entries()]) rig.maps.ct.delete(key);
  publish(flow);
  const { where, packet } = packetOf(flow);
  const { events } = rig.send(where.program, where.device, packet.bytes(), where);
  const said = events.filter(({ type }) => type === VERDICT);
  const pairs = said.map(({ direction, reason, rule }: Event) => {
    return [direction === 1 ? 'ingress' : 'egress', { reason, rule }] as const;
  });
  return Object.fromEntries(pairs);
}

/** The host's port leads to the one that the flow is for. */
function publish({ cast, to, protocol, port, published }: Flow): void {
  if (!published) return;
  const frontend = { address: cast.uplink.ip, port: FRONTEND, protocol: PROTOCOLS[protocol] };
  rig.maps.service.set(frontend, { address: ipOf(PLACES[to as number]!, cast), port, flags: 0, id: 1 });
}

interface World {
  rules: Rule[];
  inhabitants: ModelPeer[];
  context: ModelContext;
}

const seen = { allowed: 0, denied: 0, byRule: 0, traced: 0, published: 0 };

/** What a trace says of the flow; undefined for one by a published port between containers, which no trace can mean. */
function traceOf(
  { published, protocol, port }: Flow,
  source: ModelPeer,
  destination: ModelPeer,
): TraceResult | undefined {
  if (published && source.kind !== 'address') return undefined;
  const dports: TracePort[] = [{ port, protocol }];
  const sides = { source: enforced.labelsOf(source), destination: enforced.labelsOf(destination) };
  const query = { ...sides, dports, publishedPorts: published ? dports : [] };
  return trace(enforced.compiled, query, enforced.context);
}

/** One flow by all three; they must agree on both sides, as far as the datapath asked. */
function compare(flow: Flow, { rules, inhabitants, context }: World): void {
  const peerOf = (end: number | ModelPeer): ModelPeer => (typeof end === 'number' ? inhabitants[end]! : end);
  const [source, destination] = [peerOf(flow.from), peerOf(flow.to)];
  const traced = traceOf(flow, source, destination);
  const verdicts = datapath(flow);
  const shown = { ...flow, cast: flow.cast.family };
  const about = JSON.stringify({ flow: shown, source, destination, verdicts, traced });
  const packet = { protocol: PROTOCOLS[flow.protocol], port: flow.port, published: flow.published };
  let isOver = false;
  for (const direction of ['egress', 'ingress'] as const) {
    const [subject, peer] = direction === 'egress' ? [source, destination] : [destination, source];
    const hasPolicy: boolean = typeof (direction === 'egress' ? flow.from : flow.to) === 'number' && !isOver;
    const verdict = verdicts[direction];
    assert.equal(verdict !== undefined, hasPolicy, `${direction} is asked: ${about}`);
    if (verdict === undefined) continue;
    const expected = model(rules, { direction, subject, peer, ...packet }, context);
    assert.equal(verdict.reason, expected.reason, `${direction}, model: ${about}`);
    if (verdict.reason !== 133) assert.ok(expected.because.includes(verdict.rule), `${direction}: ${about}`);
    if (traced !== undefined) assertTraced(traced, direction, verdict, about);
    isOver = verdict.reason !== 0;
    count(verdict, flow);
  }
  if (traced !== undefined) assert.equal(traced.verdict, isOver ? 'denied' : 'allowed', about);
}

function assertTraced(
  traced: TraceResult,
  direction: Direction,
  { reason, rule }: Verdict,
  about: string,
): void {
  assert.equal(traced[direction] === 'denied', reason !== 0, `${direction}, trace: ${about}`);
  const match = traced.matched.find((each) => each.direction === direction);
  assert.equal(match?.rule, reason === 133 ? undefined : rule, `${direction}, rule of the trace: ${about}`);
  seen.traced++;
}

function count({ reason, rule }: Verdict, { published }: Flow): void {
  seen[reason === 0 ? 'allowed' : 'denied']++;
  if (published && reason === 0) seen.published++;
  if (rule > 0) seen.byRule++;
}

const NEEDS = needsLinux('5.15', 'ingress_ifindex of a test run');
test(
  `${POLICIES} random policies: datapath, trace and model agree on every flow of both families`,
  NEEDS,
  (context) => {
    fc.assert(
      fc.property(scene, ({ texts, inhabitants, context, flows }) => {
        const rules = parsePolicy(JSON.stringify(texts), 'random');
        enforced.become(rules, inhabitants, context.mode);
        for (const flow of flows) compare(flow, { rules, inhabitants, context });
      }),
      { numRuns: POLICIES },
    );
    context.diagnostic(`verdicts: ${JSON.stringify(seen)}`);
    assert.ok(
      Math.min(seen.allowed, seen.denied, seen.byRule, seen.published) > POLICIES,
      `one-sided: ${JSON.stringify(seen)}`,
    );
  },
);
