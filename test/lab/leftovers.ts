/**
 * Ends what lab objects started, by process id: processes are known by a mount only their namespace has, containers
 * by the cgroup their dockerd put them in. Also used at start on what a killed test run has left behind.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { sleep } from './run.ts';

export const PREFIX = 'weirlab-';
const CGROUPS = '/sys/fs/cgroup';

/** Start time of a process since boot: with its id, a name that is never given twice. */
function startTime(pid: number | string): string | undefined {
  const stat = contentOf(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** A new folder for one lab object, marked as owned by this process. */
export function claimFolder(name: string): string {
  const folder = join(tmpdir(), `${PREFIX}${name}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'owner'), `${process.pid} ${startTime(process.pid)}`);
  return folder;
}

function ownerLives(folder: string): boolean {
  const owner = join(folder, 'owner');
  if (!existsSync(owner)) return false;
  const [pid = '', started] = readFileSync(owner, 'utf8').split(' ');
  return startTime(pid) === started;
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process has ended meanwhile
  }
}

/**
 * Every process that sees the lab object's private folder mounted: its holder, dockerd, shims, agent, commands. And
 * their children: the first process of a container does not see it.
 */
function processesIn(folder: string): number[] {
  const mark = `${basename(folder)}/var/lib/weir /var/lib/weir `;
  const pids = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid);
  const inside = new Set(pids.filter((pid) => contentOf(`/proc/${pid}/mountinfo`).includes(mark)));
  const parentOf = (pid: string): string =>
    /^PPid:\t(\d+)$/m.exec(contentOf(`/proc/${pid}/status`))?.[1] ?? '';
  return [...inside, ...pids.filter((pid) => !inside.has(pid) && inside.has(parentOf(pid)))].map(Number);
}

/** The cgroup folders of the lab object's containers: one per hierarchy with cgroup v1, a single one with v2. */
function cgroupFolders(folder: string): string[] {
  const roots = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))];
  return roots.map((root) => join(root, basename(folder))).filter((path) => existsSync(path));
}

/** This group and those in it; none that the system has taken away meanwhile. */
function groupsBelow(path: string): string[] {
  try {
    const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...below.flatMap((entry) => groupsBelow(join(path, entry.name))), path];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function containersOf(folder: string): number[] {
  const groups = cgroupFolders(folder).flatMap(groupsBelow);
  const pids = groups.flatMap((path) => contentOf(join(path, 'cgroup.procs')).split('\n').filter(Boolean));
  return [...new Set(pids.map(Number))];
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ended meanwhile
  }
}

function removeGroup(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // a dying process is still in it: an empty group costs nothing
  }
}

/** Ends every process and container of a lab object and removes its folder. Harmless when repeated. */
export async function clear(folder: string): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const pids = [...processesIn(folder), ...containersOf(folder)];
    if (pids.length === 0) break;
    for (const pid of pids) endProcess(pid);
    await sleep(20);
  }
  for (const path of cgroupFolders(folder).flatMap(groupsBelow)) removeGroup(path);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Clears the lab objects of test runs that are no more. Those of a run in progress are left alone. */
export async function clearLeftovers(): Promise<void> {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX));
  for (const name of folders) {
    const folder = join(tmpdir(), name);
    if (!ownerLives(folder)) await clear(folder);
  }
}
