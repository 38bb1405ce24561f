/**
 * The writes since the snapshot: one line per group commit, `<crc32> <JSON>`. Appending costs one fdatasync, whatever the
 * size of the store; the snapshot is rewritten only when the journal has outgrown it.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { syncFolder } from '../base/index.ts';
import type { Stored } from './snapshot.ts';
import { corrupt } from './snapshot.ts';

/** One revision's writes; undefined deletes the key. */
export interface Transaction {
  revision: number;
  writes: [key: string, stored: Stored | undefined][];
}

export class Journal {
  readonly #handle: FileHandle;
  #size: number;
  /** A failed append may have left bytes behind `size`. */
  #dirty = false;

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  /** Opens or (where the store `isNew`) creates the journal; `tornBytes` were cut off its end: a write that was never acknowledged. */
  static async open(
    file: string,
    isNew: boolean,
  ): Promise<{ journal: Journal; transactions: Transaction[]; tornBytes: number }> {
    const handle = await openFile(file, isNew);
    try {
      const bytes = await handle.readFile();
      if (isNew && bytes.length > 0)
        throw corrupt(file, 'there is a journal, but the store beside it is missing');
      const { transactions, size } = parseLines(file, bytes);
      const journal = new Journal(handle, size);
      if (size < bytes.length) await journal.#rewind();
      return { journal, transactions, tornBytes: bytes.length - size };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Bytes of whole lines. */
  get size(): number {
    return this.#size;
  }

  /** Durable when it resolves; when it rejects, a later reader does not see it either. */
  async append(transactions: Transaction[]): Promise<void> {
    if (this.#dirty) await this.#rewind();
    const line = encodeLine(transactions);
    try {
      await this.#writeAll(line);
      await this.#handle.datasync();
    } catch (error) {
      this.#dirty = true;
      await this.#rewind().catch(() => undefined); // tried again before the next append
      throw error;
    }
    this.#size += line.length;
  }

  /** Empties it, once a snapshot holds everything. A crash before that is harmless: old revisions are skipped. */
  async reset(): Promise<void> {
    this.#size = 0;
    await this.#rewind();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #rewind(): Promise<void> {
    this.#dirty = true;
    await this.#handle.truncate(this.#size);
    await this.#handle.datasync();
    this.#dirty = false;
  }

  async #writeAll(line: Buffer): Promise<void> {
    for (let done = 0; done < line.length;) {
      const { bytesWritten } = await this.#handle.write(line, done, line.length - done, this.#size + done);
      done += bytesWritten;
    }
  }
}

async function openFile(file: string, isNew: boolean): Promise<FileHandle> {
  try {
    return await open(file, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (!isNew) throw corrupt(file, 'the journal beside the store is missing', error);
  }
  const handle = await open(file, 'wx+', 0o600);
  await syncFolder(path.dirname(file));
  return handle;
}

function encodeLine(transactions: Transaction[]): Buffer {
  const texts = transactions.map(
    ({ revision, writes }) => `[${revision},[${writes.map(encodeWrite).join(',')}]]`,
  );
  const json = Buffer.from(`[${texts.join(',')}]`);
  return Buffer.concat([Buffer.from(`${checksum(json)} `), json, Buffer.from('\n')]);
}

function encodeWrite([key, stored]: Transaction['writes'][number]): string {
  if (stored === undefined) return `[${JSON.stringify(key)}]`;
  const lease = stored.leaseId === undefined ? '' : `,${JSON.stringify(stored.leaseId)}`;
  return `[${JSON.stringify(key)},${stored.json}${lease}]`;
}

function checksum(json: Buffer): string {
  return crc32(json).toString(16).padStart(8, '0');
}

/** A bad last line was torn by a crash; a bad line before a good one is damage. */
function parseLines(file: string, bytes: Buffer): { transactions: Transaction[]; size: number } {
  const transactions: Transaction[] = [];
  let size = 0;
  let bad: number | undefined;
  for (let at = 0, end = bytes.indexOf(10); end >= 0; at = end + 1, end = bytes.indexOf(10, at)) {
    const parsed = parseLine(bytes.subarray(at, end));
    if (parsed === undefined) {
      bad ??= at;
    } else if (bad !== undefined) {
      throw corrupt(file, `the journal is damaged at byte ${bad}`);
    } else {
      transactions.push(...parsed);
      size = end + 1;
    }
  }
  return { transactions, size };
}

function parseLine(line: Buffer): Transaction[] | undefined {
  const json = line.subarray(9);
  if (line.toString('latin1', 0, 9) !== `${checksum(json)} `) return undefined;
  const transactions = JSON.parse(json.toString('utf8')) as [number, [string, unknown?, string?][]][];
  return transactions.map(([revision, writes]) => ({
    revision,
    writes: writes.map((write) => parseWrite(write, revision)),
  }));
}

function parseWrite(
  [key, value, leaseId]: [string, unknown?, string?],
  revision: number,
): Transaction['writes'][number] {
  if (value === undefined) return [key, undefined];
  return [key, { json: JSON.stringify(value), revision, ...(leaseId !== undefined && { leaseId }) }];
}
