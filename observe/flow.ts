/** From a bare kernel event to a flow that says who, whom, what and why. */
import type { api } from '../base/index.ts';
import { CT_STATES, EVENT_DROP, EVENT_TRACE, MATCH, OBSERVATION_POINTS, type FlowEvent } from './event.ts';
import { hasPorts, icmpName, isIcmp, protocolName, tcpFlagNames } from './protocol.ts';

/** What the numbers of an event mean on this host right now. Asked once per event that somebody watches. */
export interface FlowNames {
  /** Name of the container behind an endpoint number or, where that is 0, behind an address. */
  containerName(endpoint: number, address: string): string | undefined;
  identityLabels(identity: number): string[];
  ruleLabels(rule: number, revision: number): string[];
  /** What the rule wants to go along with its flows. */
  ruleLog(rule: number, revision: number): string | undefined;
  interfaceName(ifindex: number): string;
  dropReason(code: number): string;
  /** Wall time of an event, see `WallClock.format`. */
  time(ns: bigint): string;
}

const DIRECTIONS = ['unknown', 'ingress', 'egress'] as const;

function peerOf(event: FlowEvent, side: 'source' | 'destination', names: FlowNames): api.FlowPeer {
  const endpoint = side === 'source' ? event.sourceEndpoint : event.destinationEndpoint;
  const identity = side === 'source' ? event.sourceIdentity : event.destinationIdentity;
  const ip = event[side];
  const containerName = names.containerName(endpoint, ip);
  return {
    ip,
    ...(hasPorts(event.protocol) && { port: side === 'source' ? event.sourcePort : event.destinationPort }),
    identity,
    labels: names.identityLabels(identity),
    ...(endpoint !== 0 && { endpointId: endpoint }),
    ...(containerName !== undefined && { containerName }),
  };
}

type Judged = Pick<api.Flow, 'type' | 'verdict' | 'reason' | 'reasonCode'>;

function judge(event: FlowEvent, names: FlowNames): Judged {
  const code = event.reason;
  if (event.type === EVENT_DROP) {
    return { type: 'drop', verdict: 'dropped', reason: names.dropReason(code), reasonCode: code };
  }
  if (event.type === EVENT_TRACE) {
    const reason = OBSERVATION_POINTS[code] ?? `point ${code}`;
    return { type: 'trace', verdict: 'forwarded', reason, reasonCode: 0 };
  }
  if (code !== 0) {
    const verdict = event.audit === 0 ? 'denied' : 'audited';
    return { type: 'policy-verdict', verdict, reason: names.dropReason(code), reasonCode: code };
  }
  const match = MATCH[event.match] ?? `match ${event.match}`;
  return { type: 'policy-verdict', verdict: 'allowed', reason: match, reasonCode: 0 };
}

function hostPort(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** "10.11.13.37:4242 -> 10.11.101.61:80 tcp SYN", as the field's monitors write it. */
function summarize(
  flow: Pick<api.Flow, 'source' | 'destination' | 'protocol' | 'tcpFlags' | 'icmp'>,
): string {
  const { source, destination } = flow;
  const what =
    flow.icmp === undefined
      ? flow.protocol.toLowerCase()
      : `${flow.protocol.toLowerCase()} ${flow.icmp.name}`;
  const flags =
    flow.tcpFlags === undefined || flow.tcpFlags.length === 0 ? '' : ` ${flow.tcpFlags.join(', ')}`;
  return `${hostPort(source.ip, source.port)} -> ${hostPort(destination.ip, destination.port)} ${what}${flags}`;
}

/** The flow of an event. Pure but for what `names` answers. */
export function enrich(event: FlowEvent, names: FlowNames): api.Flow {
  const said = {
    source: peerOf(event, 'source', names),
    destination: peerOf(event, 'destination', names),
    protocol: protocolName(event.protocol),
    ...(event.protocol === 6 && { tcpFlags: tcpFlagNames(event.tcpFlags) }),
    ...(isIcmp(event.protocol) && {
      icmp: { type: event.icmpType, code: event.icmpCode, name: icmpName(event.protocol, event.icmpType) },
    }),
  };
  const policyLog = event.rule === 0 ? undefined : names.ruleLog(event.rule, event.generation);
  return {
    time: names.time(event.time),
    ...judge(event, names),
    direction: DIRECTIONS[event.direction] ?? 'unknown',
    ...said,
    ctState: CT_STATES[event.ctState] ?? 'new',
    rule: event.rule,
    ruleLabels: event.rule === 0 ? [] : names.ruleLabels(event.rule, event.generation),
    ...(policyLog !== undefined && { policyLog }),
    policyRevision: event.generation,
    length: event.length,
    interface: names.interfaceName(event.ifindex),
    summary: summarize(said),
  };
}
