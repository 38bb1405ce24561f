/** A socket that a program on connect can recognise, so that it can tell what it sees of this process. */
import { closeSync } from 'node:fs';
import { KernelError } from './failure.ts';
import { lastErrno, libc } from './libbpf.ts';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socketAddress, SOL_SOCKET } from './socket-address.ts';

const SO_COOKIE = 57;
const DISCARD = 9;

export class ProbeSocket implements Disposable {
  readonly #fd: number;
  /** The kernel's number for it, never given twice. */
  readonly cookie: bigint;

  constructor() {
    this.#fd = libc().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw new KernelError('open a socket', lastErrno());
    const value = Buffer.alloc(8);
    const size = Buffer.from([8, 0, 0, 0]);
    if (libc().getsockopt(this.#fd, SOL_SOCKET, SO_COOKIE, value, size) < 0) {
      const error = new KernelError('read the cookie of a socket', lastErrno());
      closeSync(this.#fd);
      throw error;
    }
    this.cookie = value.readBigUInt64LE();
  }

  /** Sends nothing: a datagram socket only takes the address down. */
  connect(): void {
    const to = socketAddress('127.0.0.1', DISCARD);
    if (libc().connect(this.#fd, to, to.length) < 0) throw new KernelError('connect a socket', lastErrno());
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
