/** What every engine promises; `store-conformance.ts` is the same promise as tests. */

/** One key as it was when it was read; `value` is the caller's own copy. */
export interface Entry {
  key: string;
  value: unknown;
  /** The store's revision of the last write to this key. Revisions grow over the whole store. */
  revision: number;
}

export type Operation = { put: string; value: unknown } | { delete: string };

/** Keys put under a lease vanish when it is revoked, or at the latest `ttlSeconds` after its holder died. The engine renews it. */
export interface Lease {
  readonly id: string;
  revoke(): Promise<void>;
}

export type WatchEvent =
  | { type: 'put'; entry: Entry }
  | { type: 'delete'; key: string; revision: number }
  /** Everything under the prefix right now; what the watcher knows beyond it is gone. */
  | { type: 'resync'; entries: Entry[]; revision: number };

export interface Watch {
  /** No event is delivered after this returns. */
  close(): void;
}

/**
 * A durable map of JSON values with a revision. A write is durable and visible when it resolves, and neither when it
 * rejects. Keys are not empty; values are JSON (undefined is not).
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>;
  /** Entries whose key starts with `prefix`, sorted by key. */
  list(prefix: string): Promise<Entry[]>;
  /** Resolves to the revision of the write. */
  put(key: string, value: unknown, options?: { lease?: Lease }): Promise<number>;
  /** False, and nothing written, if the key exists. */
  create(key: string, value: unknown): Promise<boolean>;
  /** False, and nothing written, unless the key's last write was `revision`; 0 means that the key does not exist. */
  compareAndSwap(key: string, value: unknown, revision: number): Promise<boolean>;
  /** False if there was no such key. */
  delete(key: string): Promise<boolean>;
  /** All or nothing, under one revision, with one sync. A key may occur once. */
  apply(operations: Operation[]): Promise<void>;
  lease(ttlSeconds: number): Promise<Lease>;
  /**
   * Changes under `prefix`, in the order of revisions, after they are durable. Without `fromRevision` the first event is a
   * resync; with it, the changes after that revision, or a resync if the store no longer remembers them.
   */
  watch(prefix: string, onEvent: (event: WatchEvent) => void, fromRevision?: number): Watch;
  /** Rejects as a write would, if the last one did and another one would again; writes nothing that anyone sees. */
  probe(): Promise<void>;
  /** Waits for writes under way; later calls reject. */
  close(): Promise<void>;
}
