/** Network namespaces of others, entered for the length of one synchronous call. */
import { closeSync, openSync } from 'node:fs';
import { KernelError } from './failure.ts';
import { lastErrno, libc } from './libbpf.ts';

const CLONE_NEWNET = 0x40000000;

function enter(fd: number, action: string): void {
  if (libc().setns(fd, CLONE_NEWNET) < 0) throw new KernelError(action, lastErrno());
}

/** What goes on in the wrong namespace would change a container's network and call it the host's. */
function goHome(home: number): void {
  try {
    enter(home, 'return to the own network namespace');
  } catch (error) {
    console.error(error);
    process.abort();
  }
}

/**
 * Calls `work` with this thread in the network namespace that the file stands for. A socket opened there stays there.
 * Other threads of the process are not touched. Throws ENOENT where there is no such file, KernelError EINVAL where it
 * is none of a network namespace.
 */
export function inNetworkNamespace<T>(path: string, work: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const there = openSync(path, 'r');
    try {
      enter(there, `enter network namespace ${path}`);
    } finally {
      closeSync(there);
    }
    try {
      return work();
    } finally {
      goHome(home);
    }
  } finally {
    closeSync(home);
  }
}
