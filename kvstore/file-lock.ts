/**
 * One process per file: a lock file that names its holder. A holder that no longer lives (same boot, same pid and start
 * time) is replaced, by one contender only: the right to replace holder X is itself a lock, named after X.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { link, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { HostError } from '../base/index.ts';

const UNREADABLE = 'unreadable';

interface Holder {
  token: string;
  pid: number;
  /** Start time of the process in clock ticks since boot: pids are used again, this pair is not. */
  started: string;
  boot: string;
  pidNamespace: string;
}

export interface FileLock {
  release(): Promise<void>;
}

/** Takes the lock `file`; rejects with HostError STORE_LOCKED while its holder lives. */
export async function lockFile(file: string): Promise<FileLock> {
  const mine = await acquire(file);
  await removeLeftovers(file);
  return {
    async release(): Promise<void> {
      if ((await readHolder(file))?.token === mine.token) await rm(file, { force: true });
    },
  };
}

async function acquire(file: string): Promise<Holder> {
  const mine = self();
  const draft = `${file}.${mine.token}.tmp`;
  await writeFile(draft, JSON.stringify(mine), { flag: 'wx', mode: 0o600 });
  try {
    for (;;) {
      if (await createdLink(draft, file)) return mine;
      const holder = await readHolder(file);
      if (holder === undefined) continue; // released between the two steps
      if (isAlive(holder)) throw locked(file, holder);
      if (await replaced(file, holder, draft)) return mine;
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** Puts the draft in the place of a dead holder's lock; false if somebody else did. The lock file is never absent meanwhile. */
async function replaced(file: string, dead: Holder, draft: string): Promise<boolean> {
  const right = `${file}.${dead.token}.break`;
  await acquire(right);
  try {
    if ((await readHolder(file))?.token !== dead.token) return false;
    await rename(draft, file);
    return true;
  } finally {
    await rm(right, { force: true });
  }
}

async function createdLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const holder = JSON.parse(text) as Partial<Holder> | null;
    if (typeof holder?.token === 'string' && /^[0-9a-f]{16}$/.test(holder.token)) return holder as Holder;
  } catch {
    // not whole: lock files appear by link, so only a power cut does this, and its holder died with it
  }
  return { token: UNREADABLE, pid: 0, started: '', boot: '', pidNamespace: '' };
}

function self(): Holder {
  return {
    token: randomBytes(8).toString('hex'),
    pid: process.pid,
    started: startOf(process.pid) ?? '',
    boot: bootId(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  };
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Undefined if there is no such process, or only its zombie. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold spaces and brackets
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** A holder in another pid namespace cannot be looked at: it counts as alive. */
function isAlive(holder: Holder): boolean {
  const mine = self();
  if (holder.boot !== mine.boot) return false;
  return holder.pidNamespace !== mine.pidNamespace || startOf(holder.pid) === holder.started;
}

function locked(file: string, holder: Holder): HostError {
  const foreign = holder.pidNamespace !== self().pidNamespace;
  return new HostError(
    'STORE_LOCKED',
    `open ${file.replace(/\.lock(\..*)?$/, '')}: process ${holder.pid} has it open`,
    {
      hint: foreign
        ? `it runs in another pid namespace; if no weir agent runs there, remove ${file}`
        : 'stop that weir agent first, or give this one another --state-dir',
      retryable: true,
    },
  );
}

/** Rights that were taken over holders of the past mean nothing any more; drafts go if their writer was killed. */
async function removeLeftovers(file: string): Promise<void> {
  const folder = path.dirname(file);
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${path.basename(file)}.`));
  await Promise.all(names.map((name) => removeLeftover(path.join(folder, name))));
}

async function removeLeftover(file: string): Promise<void> {
  if (file.endsWith('.tmp')) {
    const writer = await readHolder(file);
    if (writer === undefined || writer.token === UNREADABLE || isAlive(writer)) return;
  } else if (!file.endsWith('.break')) {
    return;
  }
  await rm(file, { force: true });
}
