import { RESERVED, isEndpointIdentity } from '../identity/index.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, decide } from './decide.ts';
import type { Direction, Verdict } from './entry.ts';
import { type Peer, type PolicyContext, isOutside, sameNetwork } from './isolation.ts';
import { type Resolution, resolve } from './resolve.ts';
import { type Parties, partiesOf } from './trace-party.ts';
import { explain, reasonFor } from './trace-text.ts';

export interface TracePort {
  /** Destination port; the message type for ICMP. */
  port: number;
  /** ANY: allowed if it is under one of TCP, UDP and SCTP. */
  protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | 'ANY';
}

export interface TraceQuery {
  /**
   * Labels, `container:` where no source is named; or one of `reserved:host`, `reserved:world` and so on; or
   * `cidr:<address>`. Without `weir:network=<name>` among them, a side is on the other one's networks.
   */
  source: readonly string[];
  destination: readonly string[];
  /** All of them must be allowed. Empty: whatever the port. */
  dports: readonly TracePort[];
  /** The source is on internal networks only. */
  sourceNoWorld?: boolean;
  /** The destination is. */
  destinationNoWorld?: boolean;
  /** Ports of the destination that are published on the host: the way in from outside. */
  publishedPorts?: readonly TracePort[];
  /** What the policy of the source denies is told, and passes. */
  sourceAudited?: boolean;
  destinationAudited?: boolean;
}

/** "audited": denied, and let pass since policy is only audited there. "none": no rule decides on this side, and the default isolation lets it pass; or there is no policy on it at all. */
export type Judgement = 'allowed' | 'denied' | 'audited' | 'none';

export interface TraceMatch {
  direction: Direction;
  /** Place of the rule in the list, from 1; 0 is the default isolation. */
  rule: number;
  labels: string[];
  verdict: Verdict;
}

export interface TraceResult {
  verdict: 'allowed' | 'denied' | 'audited' | 'redirected';
  ingress: Judgement;
  egress: Judgement;
  matched: TraceMatch[];
  reason: string;
  /** The way to the verdict, every rule that was considered named. */
  lines: string[];
}

/** One side's policy on the connection. */
export interface SideTrace {
  direction: Direction;
  subject: Peer;
  peer: Peer;
  /** Undefined for a side that has no policy: the host, the world. */
  resolution: Resolution | undefined;
  /** Per port of the query. */
  decisions: Decision[];
  judgement: Judgement;
  /** The subject is on internal networks only and the peer is outside: nothing passes, whatever policy says. */
  noWorld: boolean;
  /** By protocol number and port: from outside it is reached by published ports. */
  published: ReadonlySet<string>;
  /** What it denies passes. */
  audited: boolean;
}

/** Protocol numbers that a port of the query stands for. */
export interface Probe {
  text: string;
  port: number;
  protocols: number[];
}

const PROTOCOLS = { TCP: [6], UDP: [17], SCTP: [132], ICMP: [1], ICMPv6: [58], ANY: [6, 17, 132] };

/**
 * Who may connect to whom, found by the entries that the datapath gets and the way it reads them. Throws UserError for
 * labels that cannot be.
 */
export function trace(policy: CompiledPolicy, query: TraceQuery, context: PolicyContext): TraceResult {
  const parties = partiesOf(policy, query, context);
  const probes = query.dports.map(probeOf);
  if (probes.length === 0) probes.push({ text: 'any port', port: 0, protocols: [0] });
  const [egress, ingress] = judge(policy, parties, { probes, query });
  const matched = [egress, ingress].flatMap((side) => matchesOf(policy, side));
  const result = { verdict: verdictOf(egress, ingress), probes, sides: [egress, ingress] };
  return {
    verdict: result.verdict,
    ingress: ingress.judgement,
    egress: egress.judgement,
    matched,
    reason: reasonFor(result),
    lines: explain(policy, result, { query, context: parties.context }),
  };
}

function verdictOf(...sides: SideTrace[]): 'allowed' | 'denied' | 'audited' {
  const judgements = sides.map(({ judgement }) => judgement);
  if (judgements.includes('denied')) return 'denied';
  return judgements.includes('audited') ? 'audited' : 'allowed';
}

function probeOf({ port, protocol }: TracePort): Probe {
  return { text: `${port}/${protocol}`, port, protocols: PROTOCOLS[protocol] };
}

interface Asked {
  probes: Probe[];
  query: TraceQuery;
}

function judge(policy: CompiledPolicy, parties: Parties, { probes, query }: Asked): [SideTrace, SideTrace] {
  const { source, destination, context } = parties;
  const near = sameNetwork(source, destination, context);
  const published = isOutside(source.id) ? publishedOf(query) : new Set<string>();
  const egress = sideOf('egress', source, destination, published);
  const ingress = sideOf('ingress', destination, source, published);
  for (const side of [egress, ingress]) {
    if (hasPolicy(side.subject)) side.resolution = resolve(policy, side.subject, [side.peer], context);
  }
  for (const probe of probes) {
    const each = probe.protocols.map((protocol) =>
      [egress, ingress].map((side) => ask(side, probe, protocol, near)),
    );
    // A port under ANY passes if one protocol passes on both sides.
    const best = each.find((pair) => pair.every((decision) => decision.verdict === 'allow')) ?? each[0] ?? [];
    for (const [at, side] of [egress, ingress].entries()) side.decisions.push(...best.slice(at, at + 1));
  }
  egress.noWorld = query.sourceNoWorld === true && isOutside(destination.id);
  ingress.noWorld = query.destinationNoWorld === true && isOutside(source.id);
  egress.audited = query.sourceAudited === true;
  ingress.audited = query.destinationAudited === true;
  for (const side of [egress, ingress]) side.judgement = judgementOf(side);
  return [egress, ingress];
}

function publishedOf({ publishedPorts = [] }: TraceQuery): Set<string> {
  return new Set(
    publishedPorts.flatMap(({ port, protocol }) => PROTOCOLS[protocol].map((number) => `${number} ${port}`)),
  );
}

function sideOf(direction: Direction, subject: Peer, peer: Peer, published: ReadonlySet<string>): SideTrace {
  return {
    direction,
    subject,
    peer,
    resolution: undefined,
    decisions: [],
    judgement: 'none',
    noWorld: false,
    published,
    audited: false,
  };
}

function hasPolicy({ id }: Peer): boolean {
  return id === RESERVED.init || isEndpointIdentity(id);
}

const NO_POLICY: Decision = { verdict: 'allow', reason: 0, rule: 0, match: 'none' };

function ask(
  { direction, peer, resolution, published }: SideTrace,
  probe: Probe,
  protocol: number,
  near: boolean,
): Decision {
  if (resolution === undefined) return NO_POLICY;
  const { port } = probe;
  return decide(resolution.entries, {
    ...{ direction, peer, sameNetwork: near, protocol, port },
    published: published.has(`${protocol} ${port}`),
  });
}

function judgementOf({ noWorld, decisions, resolution, direction, audited }: SideTrace): Judgement {
  if (noWorld) return 'denied';
  if (decisions.some((decision) => decision.verdict === 'deny')) return audited ? 'audited' : 'denied';
  if (resolution === undefined) return 'none';
  const enforced = direction === 'ingress' ? resolution.ingressEnforced : resolution.egressEnforced;
  return enforced || decisions.some((decision) => decision.rule > 0) ? 'allowed' : 'none';
}

function matchesOf(policy: CompiledPolicy, { direction, decisions }: SideTrace): TraceMatch[] {
  const matches = new Map<number, TraceMatch>();
  for (const { rule, verdict, match } of decisions) {
    if (match === 'none') continue;
    matches.set(rule, { direction, rule, labels: policy.rules[rule - 1]?.rule.labels ?? [], verdict });
  }
  return [...matches.values()];
}
