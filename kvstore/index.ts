/**
 * The store: what weir must still know after a restart, behind one interface.
 * Promise: a write that resolved survives kill -9 and a power cut; one that rejected changed nothing.
 * Never: interprets what is stored, or serves two processes from one file.
 * Trap: values are copied on the way in and out; change an entry by writing it again.
 */
export { openEmbeddedStore } from './embedded-store.ts';
export type { EmbeddedStoreOptions } from './embedded-store.ts';
export type { Entry, Lease, Operation, Store, Watch, WatchEvent } from './store.ts';
