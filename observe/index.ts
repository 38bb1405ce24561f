/**
 * Flow events made readable: what the datapath saw, with names, reason and rule, for whoever asks.
 *
 * Promise: a slow or absent reader never slows the datapath or the agent; what it misses it is told.
 * Never: decides about packets, keeps history, or talks to Docker; names come in through `FlowNames`.
 * Trap: names are looked up when an event is read, not when the packet passed; an endpoint that is gone by then
 * is shown by address and identity alone.
 */
export type { FlowEvent } from './event.ts';
export type { FlowFilter } from './filter.ts';
export type { FlowNames } from './flow.ts';
export { Monitor } from './monitor.ts';
export { hasPorts, protocolName } from './protocol.ts';
export type { FlowSink, FlowSubscription } from './subscription.ts';
export { WallClock } from './wall-clock.ts';
