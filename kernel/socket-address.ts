/** Socket addresses as libc wants them. */
import { addressBytes, familyOf } from '../base/index.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;

/** struct sockaddr_in or sockaddr_in6 */
export function socketAddress(address: string, port: number): Buffer {
  const isOld = familyOf(address) === 4;
  const bytes = Buffer.alloc(isOld ? 16 : 28);
  bytes.writeUInt16LE(isOld ? AF_INET : AF_INET6);
  bytes.writeUInt16BE(port, 2);
  if (isOld) addressBytes(address).copy(bytes, 4, 12);
  else addressBytes(address).copy(bytes, 8);
  return bytes;
}
