/** Golden cases: one packet each, and everything that must come of it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DropReason, dropReason, ObservationPoint, TraceLevel } from '../../bpf/index.ts';
import type { Event, Metric, ProgramName } from '../../bpf/index.ts';
import type { Role } from '../support/cast.ts';
import { readFrame } from '../support/frame.ts';
import { needsLinux } from '../support/needs.ts';
import { is6, Packet } from '../support/packet.ts';
import { Rig } from './rig.ts';
import type { Sent } from './rig.ts';

/** redirect and stack are counted as forwarded; taken is answered or left to the host uncounted. */
type Verdict = 'redirect' | 'stack' | 'answer' | 'untouched' | keyof typeof DropReason;

export interface Where {
  program: ProgramName;
  device: string;
  /** What the host got it from, where it forwards it. */
  from?: string;
  /** It is as many packets as it has segments of that size. */
  segmentSize?: number;
}

export interface Case {
  /** One sentence. */
  name: string;
  where: Where;
  /** What the world is like before. */
  given?: (rig: Rig) => void;
  packet: Packet | Buffer;
  verdict: Verdict;
  /** A refused packet that has become an answer to its sender. */
  isAnswered?: boolean;
  /** The kernel that it takes, and why. */
  since?: [string, string];
  /** The frame afterwards, or how to tell it then; left out: as it came. */
  becomes?: Packet | Buffer | ((rig: Rig) => Packet);
  /** All events, in the words of `describeEvent`. */
  events?: string[];
  /** What must be in the maps afterwards. */
  check?: (rig: Rig, sent: Sent) => void;
}

/** `next`: it is for whoever else has programs there. */
const ACTION = { ok: 0, shot: 2, redirect: 7, next: 0xffff_ffff } as const;
/** Programs after which others have their turn. */
const PASSING_ON = new Set(['from_uplink', 'from_tunnel']);
const DIRECTION = { from_container: 2, to_container: 1, from_uplink: 1, from_tunnel: 1 } as const;
const MATCH = ['none', 'L3-Only', 'L3-L4', 'L4-Only', 'all', 'L3-Proto', 'Proto-Only'] as const;
const EVENT = { drop: 1, trace: 4, verdict: 5 } as const;

export const leaving = (role: Role): Where => ({ program: 'from_container', device: role.name });
export const entering = (role: Role): Where => ({ program: 'to_container', device: role.name });
export const forwarded = (role: Role): Where => ({ ...entering(role), from: 'uplink' });
export const arriving: Where = { program: 'from_uplink', device: 'uplink' };

/** A packet from one of the cast to an address, framed as its container frames it. */
export function packetFrom(role: Role, destination: string): Packet {
  const framed = new Packet().ethernet({ source: role.mac, destination: role.gatewayMac });
  return framed.ip({ source: is6(destination) ? role.ip6 : role.ip4, destination });
}

/** A packet from an address to one of the cast, framed as the host's stack frames it. */
export function packetTo(role: Role, source: string): Packet {
  const framed = new Packet().ethernet({ source: role.gatewayMac, destination: role.mac });
  return framed.ip({ source, destination: is6(source) ? role.ip6 : role.ip4 });
}

/** What local delivery makes of a packet: one hop less, between the receiver's gateway and the receiver. */
export function delivered(packet: Packet, to: Role, ttl = 63): Packet {
  return packet.ethernet({ source: to.gatewayMac, destination: to.mac }).ip({ ttl });
}

/** "drop 133 egress", "verdict ingress deny 181 rule 2 L3-L4", "trace TO_ENDPOINT egress". */
export function describeEvent(event: Event): string {
  const direction = event.direction === 1 ? 'ingress' : 'egress';
  if (event.type === EVENT.drop) return `drop ${event.reason} ${direction}`;
  if (event.type === EVENT.verdict) {
    const verdict = event.reason === 0 ? 'allow' : `${event.audit === 1 ? 'audit' : 'deny'} ${event.reason}`;
    return `verdict ${direction} ${verdict} rule ${event.rule} ${MATCH[event.match]}`;
  }
  const point = Object.entries(ObservationPoint).find(([, value]) => value === event.reason)?.[0];
  return `trace ${point?.replace('TRACE_', '')} ${direction}`;
}

function actionOf({ verdict, where, isAnswered = false }: Case): number {
  if (isAnswered) return ACTION.redirect;
  if (verdict === 'redirect' || verdict === 'answer') return ACTION.redirect;
  if (verdict === 'untouched' && PASSING_ON.has(where.program)) return ACTION.next;
  return verdict === 'stack' || verdict === 'untouched' ? ACTION.ok : ACTION.shot;
}

/** The metric that must count the packet; undefined: none. */
function countedAs(verdict: Verdict): number | undefined {
  if (verdict === 'answer' || verdict === 'untouched') return undefined;
  return verdict === 'redirect' || verdict === 'stack' ? 0 : DropReason[verdict];
}

function bytesOf(packet: Packet | Buffer): Buffer {
  return packet instanceof Packet ? packet.bytes() : packet;
}

function outcomeOf({ packet, becomes = packet }: Case, rig: Rig): Buffer {
  return bytesOf(typeof becomes === 'function' ? becomes(rig) : becomes);
}

function checkFrame(actual: Buffer, expected: Buffer): void {
  if (actual.equals(expected)) return;
  assert.deepEqual(readFrame(actual), readFrame(expected));
  assert.equal(actual.toString('hex'), expected.toString('hex'));
}

/** What is said to the neighbourhood is counted, and told only to who wants to hear everything. */
function isTold({ verdict }: Case, rig: Rig): boolean {
  return verdict !== 'DROP_MULTICAST' || rig.maps.config.get(0)?.traceLevel === TraceLevel.TRACE_MAX;
}

function checkVerdict(item: Case, sent: Sent, rig: Rig): void {
  const drops = sent.events.filter((event) => event.type === EVENT.drop);
  const reasons = drops.map((event) => dropReason(event.reason));
  const isDrop = item.verdict in DropReason && isTold(item, rig);
  assert.deepEqual(reasons, isDrop ? [dropReason(DropReason[item.verdict as keyof typeof DropReason])] : []);
  assert.equal(sent.action, actionOf(item), `the program returned ${sent.action}`);
}

/** Packets and bytes counted under a reason, per direction. */
function countersOf(rig: Rig, reason: number | undefined): Metric[] {
  return [0, 1, 2].map((direction) => rig.metric(reason ?? 0, direction));
}

interface Counted {
  before: Metric[];
  after: Metric[];
  /** Where one packet of that many bytes must have been counted; undefined: nowhere. */
  direction: number | undefined;
  bytes: number;
}

function checkCounters({ before, after, direction, bytes }: Counted): void {
  for (const [at, now] of after.entries()) {
    const [packets, length] = at === direction ? [1n, BigInt(bytes)] : [0n, 0n];
    assert.equal(now.packets - before[at]!.packets, packets, 'packets counted');
    assert.equal(now.bytes - before[at]!.bytes, length, 'bytes counted');
  }
}

function runCase(rig: Rig, item: Case): void {
  rig.reset();
  item.given?.(rig);
  const { program, device } = item.where;
  const frame = bytesOf(item.packet);
  const reason = countedAs(item.verdict);
  const before = countersOf(rig, reason);
  const sent = rig.send(program, device, frame, item.where);
  checkVerdict(item, sent, rig);
  checkFrame(sent.bytes, outcomeOf(item, rig));
  // a drop is counted as of the side that denied, which its event names
  const side = sent.events.find((event) => event.type === EVENT.drop)?.direction ?? DIRECTION[program];
  const direction = reason === undefined ? undefined : side;
  checkCounters({ before, after: countersOf(rig, reason), direction, bytes: frame.length });
  if (item.events !== undefined) assert.deepEqual(sent.events.map(describeEvent), item.events);
  item.check?.(rig, sent);
}

let rig: Rig | undefined;

/** Runs each case as a test of its own, all of a file on one rig. */
export function runCases(cases: Case[], family?: string): void {
  if (rig === undefined) after(() => rig?.close());
  const here = (rig ??= new Rig());
  for (const item of cases) {
    const since = item.since ?? (item.where.from && (['5.15', 'ingress_ifindex of a test run'] as const));
    const options = since ? needsLinux(...since) : {};
    test(family === undefined ? item.name : `${family}: ${item.name}`, options, () => runCase(here, item));
  }
}

/** Sends a packet that must pass, as a part of a case's given. */
export function pass(rig: Rig, where: Where, packet: Packet): void {
  const { action } = rig.send(where.program, where.device, packet.bytes(), where);
  assert.notEqual(action, ACTION.shot, 'a packet of the preparation was dropped');
}
