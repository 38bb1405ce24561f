/**
 * Ground floor: what every other floor stands on. No I/O beyond one durable file and the log.
 * Promise: nothing here knows Docker, BPF or policy. Trap: addresses are canonical text; parse at the edge, once.
 */
export * from './address.ts';
export type * as api from './api.gen.ts';
export * from './clock.ts';
export * from './durable-file.ts';
export * from './errors.ts';
export * from './log.ts';
export * from './plugin-request.ts';
