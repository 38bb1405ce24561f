/** The engine of one host: everything in memory, on disk as a snapshot (lowdb) and a journal. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Low } from 'lowdb';
import { BugError, HostError } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { lockFile } from './file-lock.ts';
import type { FileLock } from './file-lock.ts';
import { GroupCommit } from './group-commit.ts';
import type { Decide, GroupTarget, Write } from './group-commit.ts';
import { Journal } from './journal.ts';
import type { Transaction } from './journal.ts';
import { SnapshotAdapter, corrupt } from './snapshot.ts';
import type { State, Stored } from './snapshot.ts';
import type { Entry, Lease, Operation, Store, Watch, WatchEvent } from './store.ts';
import { Watchers } from './watchers.ts';
import type { ChangeEvent } from './watchers.ts';

export interface EmbeddedStoreOptions {
  /** The snapshot; the journal and the lock lie beside it. Its folder is made if it is missing. */
  file: string;
  log: Log;
}

/** A key that is there for a moment, to see whether the disk takes writes again. */
const PROBE = 'probe';

/** The journal is folded into the snapshot when it is larger than this and than the snapshot. */
const JOURNAL_LIMIT = 4 << 20;

/**
 * Opens the store, or creates it. Rejects with HostError: STORE_LOCKED (another process has it), STORE_CORRUPT,
 * STORE_VERSION, STORE_UNREADABLE; never starts empty where there was something.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  const { file, log } = options;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const lock = await lockFile(`${file}.lock`);
  let journal: Journal | undefined;
  try {
    const adapter = new SnapshotAdapter(file);
    const database = new Low<State>(adapter, { revision: 0, entries: new Map() });
    await database.read();
    const isNew = adapter.size === 0;
    const read = await Journal.open(`${file}.journal`, isNew);
    journal = read.journal;
    if (isNew) await database.write();
    if (read.tornBytes > 0)
      log.warn('cut an unfinished write off the journal', { file, bytes: read.tornBytes });
    replay(file, database.data, read.transactions);
    const store = new EmbeddedStore({ file, adapter, database, journal, lock, log });
    await store.endLeases();
    return store;
  } catch (error) {
    await journal?.close();
    await lock.release();
    throw error;
  }
}

function replay(file: string, state: State, transactions: Transaction[]): void {
  for (const { revision, writes } of transactions) {
    if (revision <= state.revision) continue; // the snapshot was written, the journal not yet emptied
    if (revision !== state.revision + 1)
      throw corrupt(file, `revisions ${state.revision + 1} to ${revision - 1} are missing`);
    for (const [key, stored] of writes) {
      if (stored === undefined) state.entries.delete(key);
      else state.entries.set(key, stored);
    }
    state.revision = revision;
  }
}

interface Parts {
  file: string;
  adapter: SnapshotAdapter;
  database: Low<State>;
  journal: Journal;
  lock: FileLock;
  log: Log;
}

class EmbeddedStore implements Store, GroupTarget {
  readonly #parts: Parts;
  readonly #group: GroupCommit;
  readonly #watchers: Watchers;
  readonly #leases = new Set<string>();
  /** Size of the journal at the last fold that failed. */
  #failedAt = 0;
  /** Whether the disk refused the last write. */
  #isRefused = false;
  #closing: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#group = new GroupCommit(this);
    this.#watchers = new Watchers(parts.database.data.revision, parts.log);
  }

  get state(): State {
    return this.#parts.database.data;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#mustBeOpen();
    const stored = this.state.entries.get(key);
    return stored && entryOf(key, stored);
  }

  async list(prefix: string): Promise<Entry[]> {
    this.#mustBeOpen();
    return this.#listNow(prefix);
  }

  async put(key: string, value: unknown, options: { lease?: Lease } = {}): Promise<number> {
    const leaseId = options.lease?.id;
    const write: Write = [
      checkedKey(key),
      { json: encode(key, value), ...(leaseId !== undefined && { leaseId }) },
    ];
    return this.#submit((_view, revision) => {
      if (leaseId !== undefined && !this.#leases.has(leaseId))
        throw new BugError(`put ${key} under a lease that has ended`);
      return { writes: [write], result: revision };
    });
  }

  async create(key: string, value: unknown): Promise<boolean> {
    return this.compareAndSwap(key, value, 0);
  }

  async compareAndSwap(key: string, value: unknown, revision: number): Promise<boolean> {
    const write: Write = [checkedKey(key), { json: encode(key, value) }];
    return this.#submit((view) => {
      const same = (view(key)?.revision ?? 0) === revision;
      return { writes: same ? [write] : [], result: same };
    });
  }

  async delete(key: string): Promise<boolean> {
    return this.#submit((view) => {
      const exists = view(key) !== undefined;
      return { writes: exists ? [[key, undefined]] : [], result: exists };
    });
  }

  async apply(operations: Operation[]): Promise<void> {
    const writes = operations.map(writeOf);
    if (new Set(writes.map(([key]) => key)).size < writes.length)
      throw new BugError('apply operations that name a key twice');
    return this.#submit((view) => ({
      writes: writes.filter(([key, content]) => content ?? view(key)),
      result: undefined,
    }));
  }

  async lease(_ttlSeconds: number): Promise<Lease> {
    this.#mustBeOpen();
    const id = randomUUID();
    this.#leases.add(id);
    return { id, revoke: () => this.#revoke(id) };
  }

  watch(prefix: string, onEvent: (event: WatchEvent) => void, fromRevision?: number): Watch {
    this.#mustBeOpen();
    const resync = (): WatchEvent => ({
      type: 'resync',
      entries: this.#listNow(prefix),
      revision: this.state.revision,
    });
    return this.#watchers.add({ prefix, onEvent }, fromRevision, resync);
  }

  async probe(): Promise<void> {
    if (!this.#isRefused) return;
    await this.put(PROBE, true);
    await this.delete(PROBE);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Removes what was put under leases of a process that is gone. */
  async endLeases(): Promise<void> {
    await this.#deleteWhere(({ leaseId }) => leaseId !== undefined && !this.#leases.has(leaseId));
  }

  async persist(transactions: Transaction[]): Promise<void> {
    try {
      await this.#parts.journal.append(transactions);
      this.#isRefused = false;
    } catch (error) {
      this.#isRefused = true;
      throw new HostError('STORE_WRITE', `write store ${this.#parts.file}`, {
        cause: error,
        hint: 'nothing was changed; look for a full or broken disk',
        retryable: true,
      });
    }
  }

  async committed(transactions: Transaction[]): Promise<void> {
    this.#watchers.publish(
      transactions.flatMap(({ revision, writes }) =>
        writes.map(([key, stored]) => changeOf(key, stored, revision)),
      ),
    );
    const { journal, adapter } = this.#parts;
    if (journal.size > Math.max(JOURNAL_LIMIT, adapter.size, 1.5 * this.#failedAt)) await this.#compact();
  }

  /** Writers wait meanwhile. If it fails the journal goes on and the next try comes when it has grown by half. */
  async #compact(): Promise<void> {
    const { database, journal, log, file } = this.#parts;
    try {
      await database.write();
      await journal.reset();
      this.#failedAt = 0;
    } catch (error) {
      this.#failedAt = journal.size;
      log.warn('cannot fold the journal into the store', { file, error: String(error) });
    }
  }

  async #close(): Promise<void> {
    await this.#group.idle();
    this.#watchers.clear();
    await this.#parts.journal.close();
    await this.#parts.lock.release();
  }

  async #revoke(id: string): Promise<void> {
    this.#leases.delete(id);
    await this.#deleteWhere(({ leaseId }) => leaseId === id);
  }

  async #deleteWhere(matches: (stored: Stored) => boolean): Promise<void> {
    await this.#submit((view) => {
      const keys = [...this.state.entries.keys()].filter((key) => {
        const stored = view(key);
        return stored !== undefined && matches(stored);
      });
      return { writes: keys.map((key): Write => [key, undefined]), result: undefined };
    });
  }

  #listNow(prefix: string): Entry[] {
    const entries: Entry[] = [];
    for (const [key, stored] of this.state.entries)
      if (key.startsWith(prefix)) entries.push(entryOf(key, stored));
    return entries.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  async #submit<T>(decide: Decide<T>): Promise<T> {
    this.#mustBeOpen();
    return this.#group.submit(decide);
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new BugError(`use of store ${this.#parts.file} after close`);
  }
}

function entryOf(key: string, stored: Stored): Entry {
  return { key, value: JSON.parse(stored.json) as unknown, revision: stored.revision };
}

function changeOf(key: string, stored: Stored | undefined, revision: number): ChangeEvent {
  return stored === undefined
    ? { type: 'delete', key, revision }
    : { type: 'put', entry: entryOf(key, stored) };
}

function writeOf(operation: Operation): Write {
  if ('delete' in operation) return [checkedKey(operation.delete), undefined];
  return [checkedKey(operation.put), { json: encode(operation.put, operation.value) }];
}

function checkedKey(key: string): string {
  if (key === '') throw new BugError('write an empty key');
  return key;
}

function encode(key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new BugError(`write ${key}: the value is not JSON`);
  return json;
}
