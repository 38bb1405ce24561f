/**
 * The datapath in C, its layouts in TypeScript, and how it gets into the kernel.
 * Promises: layouts come from BTF, never from a second copy; programs are replaced without a gap; maps and links are
 * pinned and outlive the process. Never: policy decisions or knowledge of Docker.
 * Trap: addresses in maps are 16 bytes, IPv4 mapped; identities and generations are host order.
 */
export { Conversion } from './conversion.ts';
export * from './drop-reason.ts';
export { EventStream } from './event-stream.ts';
export * from './layout.gen.ts';
export { type Maps, openMaps, SIZABLE, type SizableMap } from './maps.ts';
export { DatapathObject } from './object.ts';
export type { DatapathOptions, ProgramName } from './object.ts';
export { attachSockets } from './sockets.ts';
