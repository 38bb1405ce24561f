/** The store's whole state as one file, and lowdb's adapter that reads and replaces it durably. */
import { readFile } from 'node:fs/promises';
import type { Adapter } from 'lowdb';
import { HostError, removeStaleTemporaries, writeDurably } from '../base/index.ts';

/** A value as it is kept: JSON text, so that nobody shares an object with the store. */
export interface Stored {
  json: string;
  revision: number;
  /** Put under a lease; such keys end with the process that holds the file. */
  leaseId?: string;
}

export interface State {
  revision: number;
  entries: Map<string, Stored>;
}

const FORMAT = 'weir-store';
const VERSION = 1;

/** The error of a file that cannot be trusted; weir never starts empty instead. */
export function corrupt(file: string, why: string, cause?: unknown): HostError {
  return new HostError('STORE_CORRUPT', `read store ${file}: ${why}`, {
    cause,
    hint: 'put back a backup of the store and its journal, or move both away to start with an empty one and create the networks again',
  });
}

/** One entry a line. The state is read only while `write` makes its text, before it first waits. */
export class SnapshotAdapter implements Adapter<State> {
  readonly #file: string;
  #size = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Characters of the snapshot on disk; 0 until there is one. */
  get size(): number {
    return this.#size;
  }

  /** Null if there is no file yet; rejects with STORE_CORRUPT or STORE_VERSION rather than to read half of it. */
  async read(): Promise<State | null> {
    await removeStaleTemporaries(this.#file);
    let text: string;
    try {
      text = await readFile(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new HostError('STORE_UNREADABLE', `read store ${this.#file}`, { cause: error });
    }
    const state = this.#parse(text);
    this.#size = text.length;
    return state;
  }

  async write(state: State): Promise<void> {
    const lines = Array.from(state.entries, ([key, { json, revision, leaseId }]) => {
      const lease = leaseId === undefined ? '' : `,${JSON.stringify(leaseId)}`;
      return `[${JSON.stringify(key)},${revision},${json}${lease}]`;
    });
    const head = `{"format":"${FORMAT}","version":${VERSION},"revision":${state.revision},"entries":[\n`;
    const text = `${head}${lines.join(',\n')}\n]}\n`;
    await writeDurably(this.#file, text);
    this.#size = text.length;
  }

  #parse(text: string): State {
    let document: Record<string, unknown>;
    try {
      document = JSON.parse(text) as Record<string, unknown>;
    } catch (error) {
      throw corrupt(this.#file, 'it is not whole', error);
    }
    if (document?.['format'] !== FORMAT) throw corrupt(this.#file, 'it is not a weir store');
    if (document['version'] !== VERSION) throw this.#wrongVersion(document['version']);
    const { revision, entries } = document;
    if (!isRevision(revision) || !Array.isArray(entries)) throw corrupt(this.#file, 'its head is damaged');
    return {
      revision,
      entries: new Map(entries.map((entry: unknown, index) => this.#parseEntry(entry, index))),
    };
  }

  #parseEntry(entry: unknown, index: number): [string, Stored] {
    const [key, revision, value, leaseId] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof key !== 'string' || !isRevision(revision) || value === undefined)
      throw corrupt(this.#file, `entry ${index + 1} is damaged`);
    return [key, { json: JSON.stringify(value), revision, ...(typeof leaseId === 'string' && { leaseId }) }];
  }

  #wrongVersion(version: unknown): HostError {
    return new HostError(
      'STORE_VERSION',
      `read store ${this.#file}: format ${String(version)}, this weir knows ${VERSION}`,
      {
        hint: 'run the version of weir that wrote it',
      },
    );
  }
}

function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
