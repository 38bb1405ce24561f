/** A folder as one process's own. The kernel gives it back when the process ends, however it ends; nothing is written. */
import { closeSync, openSync } from 'node:fs';
import { ERRNO, KernelError } from './failure.ts';
import { lastErrno, libc } from './libbpf.ts';

const LOCK_EXCLUSIVE = 2;
const LOCK_NO_WAIT = 4;

/** Locks a folder of any file system, a bpffs too, until disposed; undefined where another holds it. */
export function lockFolder(path: string): Disposable | undefined {
  const fd = openSync(path, 'r');
  if (libc().flock(fd, LOCK_EXCLUSIVE | LOCK_NO_WAIT) === 0) {
    let open = true;
    return {
      [Symbol.dispose]() {
        if (open) closeSync(fd);
        open = false;
      },
    };
  }
  const errno = lastErrno();
  closeSync(fd);
  if (errno === -ERRNO.EWOULDBLOCK) return undefined;
  throw new KernelError(`lock folder ${path}`, errno);
}
