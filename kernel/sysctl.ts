/** Kernel settings under /proc/sys, named as sysctl(8) does. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { KernelError } from './failure.ts';
import { hostProc } from './host-view.ts';

/** "net.ipv4.conf.eth0/1.rp_filter" names interface "eth0.1": dots and slashes change places. */
export function sysctlPath(name: string): string {
  const swapped = name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
  return `${hostProc()}/sys/${swapped}`;
}

function refuse(action: string, error: unknown): never {
  const { errno } = error as NodeJS.ErrnoException;
  if (errno === undefined) throw error;
  throw new KernelError(action, errno);
}

/** The value without its line end; undefined where this kernel has no such setting. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(sysctlPath(name), 'utf8').trimEnd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return refuse(`read sysctl ${name}`, error);
  }
}

/** Throws KernelError: ENOENT where there is no such setting, EROFS in a container, EINVAL for a bad value. */
export function writeSysctl(name: string, value: string | number): void {
  try {
    writeFileSync(sysctlPath(name), String(value), { flag: 'r+' });
  } catch (error) {
    refuse(`set sysctl ${name} to ${value}`, error);
  }
}

/** Whether this kernel speaks IPv6, which it does not with ipv6.disable=1. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6');
}
