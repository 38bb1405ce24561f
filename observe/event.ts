/** The numbers in an event of the datapath: types, points of observation, matches, connection states. */
import type { Event } from '../bpf/index.ts';

/** A record of the event ring; `time` counts nanoseconds of CLOCK_MONOTONIC. */
export type FlowEvent = Event;

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
