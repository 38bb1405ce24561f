/** Files that survive a power cut: written aside, synced, renamed over the old one, folder synced. */
import { open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';

let writes = 0;

/**
 * Replaces `file` by `text`, wholly or not at all; durable when it resolves. Rejects with the system's error and leaves
 * the old file as it was. Two writers of one file need a lock of their own.
 */
export async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}-${++writes}.tmp`;
  try {
    await writeSynced(temporary, text);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(path.dirname(file));
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes names created, renamed or removed in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what a killed `writeDurably` of `file` left behind; only for the one process that may write the file. */
export async function removeStaleTemporaries(file: string): Promise<void> {
  const folder = path.dirname(file);
  const prefix = `${path.basename(file)}.`;
  const stale = (await readdir(folder)).filter(
    (name) => name.startsWith(prefix) && /^\d+-\d+\.tmp$/.test(name.slice(prefix.length)),
  );
  await Promise.all(stale.map((name) => rm(path.join(folder, name), { force: true })));
}
