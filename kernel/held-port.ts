/**
 * Ports of the host kept from others: a socket is bound to each and does nothing else. Neither a server nor the kernel's
 * own choice for a client gets a port that is held.
 */
import { familyOf } from '../base/index.ts';
import { closeSync } from 'node:fs';
import { ERRNO, KernelError } from './failure.ts';
import { lastErrno, libc } from './libbpf.ts';
import { isPortUsed } from './port-user.ts';
import {
  AF_INET,
  AF_INET6,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
  socketAddress,
  SOL_SOCKET,
} from './socket-address.ts';

/** `address` is one of the host's, or 0.0.0.0 or :: for all of a family. */
export interface HostPort {
  address: string;
  port: number;
  protocol: 'tcp' | 'udp';
}

const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const TRUE = Buffer.from([1, 0, 0, 0]);
const FALSE = Buffer.alloc(4);

function bindSocket({ address, port, protocol }: HostPort, shares: boolean): number {
  const isOld = familyOf(address) === 4;
  const type = (protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
  const fd = libc().socket(isOld ? AF_INET : AF_INET6, type, 0);
  if (fd < 0) return lastErrno();
  // the port of the other family is another port
  if (!isOld) libc().setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, TRUE, 4);
  if (shares) libc().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, TRUE, 4);
  const at = socketAddress(address, port);
  if (libc().bind(fd, at, at.length) === 0) {
    // sharing was for getting in: who comes later and would share finds one that does not
    if (shares) libc().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, FALSE, 4);
    return fd;
  }
  const errno = lastErrno();
  closeSync(fd);
  return errno;
}

/**
 * Holds a port until disposed. Throws KernelError: EADDRINUSE where a socket has it, EADDRNOTAVAIL where the host has no
 * such address.
 */
export function holdPort(wanted: HostPort): Disposable {
  let fd = bindSocket(wanted, false);
  // nothing but connections that are over stands against it: they let in who shares
  if (fd === -ERRNO.EADDRINUSE && wanted.protocol === 'tcp' && !isPortUsed(wanted))
    fd = bindSocket(wanted, true);
  if (fd < 0) throw new KernelError(`hold ${wanted.protocol} port ${wanted.port} of ${wanted.address}`, fd);
  let open = true;
  return {
    [Symbol.dispose]() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
