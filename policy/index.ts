/**
 * Policy floor: rules on labels → what the kernel looks up. Pure: no I/O, no clock, no state between calls.
 * Promises: a policy text is taken whole or refused with file, line, path and advice; nothing in it is ignored.
 * `resolve` gives the exact map entries of a subject, `decide` reads them as the datapath does, and `trace` explains by
 * those two, so an explanation cannot say something else than the kernel.
 * Trap: everything that passes is an entry, the default isolation included; a subject without entries is denied all.
 */
export { type CompiledPolicy, compile, tellApart } from './compile.ts';
export type { Direction, Match, PolicyEntry } from './entry.ts';
export { type Peer, type PolicyContext, type PolicyMode, isOutside } from './isolation.ts';
export { deleteRules, mergeRules, selectRules } from './merge.ts';
export { parsePolicy } from './parse.ts';
export { type Resolution, resolve } from './resolve.ts';
export type { Rule } from './rule.ts';
export { type TracePort, type TraceQuery, type TraceResult, trace } from './trace.ts';
export { PolicyComparison, type VerdictChange } from './verdict-change.ts';
