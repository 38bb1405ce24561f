/** Which process has a port of the host: sockets from procfs, processes by what they have open. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { HostPort } from './held-port.ts';

const TIME_WAIT = '06';

interface Socket {
  address: string;
  state: string;
  inode: string;
}

/** Sockets of this network namespace that are bound to the port, of one family. */
function socketsAt(table: string, port: number): Socket[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = contentOf(`/proc/self/net/${table}`).split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local = '', , state = '', , , , , , inode = ''] = row.trim().split(/\s+/);
    return local.endsWith(suffix) ? [{ address: local.slice(0, -suffix.length), state, inode }] : [];
  });
}

function socketsOn({ port, protocol }: HostPort): Socket[] {
  return [...socketsAt(protocol, port), ...socketsAt(`${protocol}6`, port)];
}

/** Whether a socket has the port that is not just waiting for its connection to be forgotten. */
export function isPortUsed(port: HostPort): boolean {
  return socketsOn(port).some(({ state }) => state !== TIME_WAIT);
}

/** "nginx (pid 812)" for the process that has a socket on the port; undefined where none is found. */
export function portUser(port: HostPort): string | undefined {
  const wanted = new Set(socketsOn(port).map(({ inode }) => `socket:[${inode}]`));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    if (opens(pid, wanted)) return `${contentOf(`/proc/${pid}/comm`).trim()} (pid ${pid})`;
  return undefined;
}

function opens(pid: string, wanted: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => wanted.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false; // the process has ended, or has closed it, meanwhile
  }
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
