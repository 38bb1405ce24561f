/** A record of the event ring as bpf/ decodes it. Only what observe/ reads; bpf's FlowEvent is assignable to it. */
export interface FlowEvent {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  timeNs: bigint;
  /** 1 drop, 4 trace, 5 policy verdict. */
  type: number;
  /** Drop: code. Trace: point of observation. Verdict: 0 allow, else the drop code. */
  reason: number;
  /** 1 ingress, 2 egress. */
  direction: number;
  /** What the policy entry matched on, see `MATCH`. */
  match: number;
  ifindex: number;
  length: number;
  sourceIdentity: number;
  destinationIdentity: number;
  sourceEndpoint: number;
  destinationEndpoint: number;
  generation: number;
  rule: number;
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  protocol: number;
  tcpFlags: number;
  ctState: number;
  icmpType: number;
  icmpCode: number;
}

export const EVENT_DROP = 1;
export const EVENT_TRACE = 4;
export const EVENT_VERDICT = 5;

/** Points of observation of a trace event, by the field's numbers. */
export const OBSERVATION_POINTS = [
  'to-endpoint',
  'to-proxy',
  'to-host',
  'to-stack',
  'to-overlay',
  'from-endpoint',
  'from-proxy',
  'from-host',
  'from-stack',
  'from-overlay',
  'from-network',
  'to-network',
] as const;

/** What a policy entry matched on, by the field's numbers. */
export const MATCH = ['none', 'L3-Only', 'L3-L4', 'L4-Only', 'all', 'L3-Proto', 'Proto-Only'] as const;

export const CT_STATES = ['new', 'established', 'reply', 'related'] as const;
