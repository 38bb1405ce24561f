/**
 * Where the host's own files are. In a container (the managed plugin) /proc/sys is read-only and what is mounted stays
 * in the container; `plugin-config/config.json` puts the host's below /host.
 */
import { existsSync } from 'node:fs';

const HOST_PROC = '/host/proc';

/** Whether this process has the host's files below /host. */
export function isContained(): boolean {
  return existsSync(`${HOST_PROC}/sys`);
}

/** The proc file system whose settings may be written. */
export function hostProc(): string {
  return isContained() ? HOST_PROC : '/proc';
}
