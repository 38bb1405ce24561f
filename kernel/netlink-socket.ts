/** An rtnetlink socket: requests with their acknowledgement, dumps, and notices of change. */
import { BugError } from '../base/index.ts';
import { ERRNO, KernelError } from './failure.ts';
import { callAsync, lastErrno, libc, onReadable } from './libbpf.ts';
import {
  decodeAcknowledgement,
  decodeMessages,
  encodeMessage,
  FLAG,
  isInterrupted,
  NLMSG,
} from './netlink-message.ts';
import type { Message } from './netlink-message.ts';
import { closeFd } from './pin.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
/** NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK (filters of dumps are honoured) */
const OPTIONS = [10, 11, 12] as const;
const MSG_DONTWAIT = 0x40;
/** The kernel fills at most 32 KiB per datagram of a dump. */
const DATAGRAM = 1 << 16;
/** Answers are there when the request returns; the time-out only keeps a kernel bug from stopping the agent. */
const ANSWER_TIMEOUT_S = 10n;
const DUMP_ATTEMPTS = 5;

export interface Request {
  type: number;
  /** Beyond request and acknowledge: create, replace, exclusive. */
  flags?: number;
  body: Buffer;
  /** What the request does, for the error. */
  action: string;
}

function integer(value: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  return word;
}

/** A bound socket; `groups` is the set of notices it receives. */
function openSocket(groups: number): number {
  const fd = libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, 0);
  if (fd < 0) throw new KernelError('open a netlink socket', lastErrno());
  const at = Buffer.alloc(12); // struct sockaddr_nl: family, port (0: the kernel chooses), groups
  at.writeUInt16LE(AF_NETLINK);
  at.writeUInt32LE(groups, 8);
  if (libc().bind(fd, at, at.length) < 0) {
    const error = new KernelError('bind a netlink socket', lastErrno());
    closeFd(fd);
    throw error;
  }
  // Options only add comfort (error texts, filtered dumps), so a refusal is no failure.
  for (const option of OPTIONS) libc().setsockopt(fd, SOL_NETLINK, option, integer(1), 4);
  const timeout = Buffer.alloc(16);
  timeout.writeBigUInt64LE(ANSWER_TIMEOUT_S);
  libc().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
  return fd;
}

/** Synchronous requests, one after the other. rtnetlink does the work inside send, so nothing waits for an answer. */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #datagram = Buffer.allocUnsafeSlow(DATAGRAM);
  #sequence = 0;
  #open = true;

  constructor() {
    this.#fd = openSocket(0);
  }

  /** The answers before the acknowledgement. Throws KernelError with the kernel's own sentence. */
  request(request: Request): Buffer[] {
    const message = this.#next(request, FLAG.ack | (request.flags ?? 0));
    this.#send(encodeMessage(message), request.action);
    return this.#answers(message, request.action).payloads;
  }

  /** `request` on a worker thread and a socket of its own, for what waits on RCU, such as deleting a link. */
  async requestAsync(request: Request): Promise<void> {
    const other = new NetlinkSocket();
    try {
      const message = other.#next(request, FLAG.ack | (request.flags ?? 0));
      const encoded = encodeMessage(message);
      const sent = await callAsync(libc().send, other.#fd, encoded, encoded.length, 0);
      if (sent < 0) throw new KernelError(request.action, ERRNO.EIO); // its errno stayed in the worker
      other.#answers(message, request.action, MSG_DONTWAIT);
    } finally {
      other.close();
    }
  }

  /** Everything of a kind. Asked again where it changed meanwhile; after some attempts the last answer stands. */
  dump(request: Request): Buffer[] {
    for (let attempt = 1; ; attempt += 1) {
      const message = this.#next(request, FLAG.dump);
      this.#send(encodeMessage(message), request.action);
      const { payloads, interrupted } = this.#answers(message, request.action);
      if (!interrupted || attempt === DUMP_ATTEMPTS) return payloads;
    }
  }

  close(): void {
    if (this.#open) closeFd(this.#fd);
    this.#open = false;
  }

  #next({ type, body }: Request, flags: number): Message {
    if (!this.#open) throw new BugError('netlink socket is closed');
    this.#sequence = (this.#sequence + 1) >>> 0;
    return { type, flags: FLAG.request | flags, sequence: this.#sequence, payload: body };
  }

  #send(message: Buffer, action: string): void {
    if (libc().send(this.#fd, message, message.length, 0) < 0) throw new KernelError(action, lastErrno());
  }

  #answers(asked: Message, action: string, flags = 0): { payloads: Buffer[]; interrupted: boolean } {
    const payloads: Buffer[] = [];
    let interrupted = false;
    for (;;) {
      const size = libc().recv(this.#fd, this.#datagram, DATAGRAM, flags);
      if (size < 0 && lastErrno() === -ERRNO.EINTR) continue;
      if (size < 0) throw new KernelError(`${action}, its answer`, lastErrno());
      for (const message of decodeMessages(this.#datagram.subarray(0, size))) {
        if (message.sequence !== asked.sequence) continue; // left over from a request that was given up
        interrupted ||= isInterrupted(message);
        if (message.type === NLMSG.error || message.type === NLMSG.done) {
          const { code, text } = decodeAcknowledgement(message);
          if (code < 0) throw new KernelError(action, code, text);
          return { payloads, interrupted };
        }
        payloads.push(Buffer.from(message.payload));
      }
    }
  }
}

/** RTMGRP_* of each kind of notice. */
const GROUPS = { link: 0x1, address: 0x10 | 0x100, route: 0x40 | 0x400 } as const;
export type Change = keyof typeof GROUPS;
/** RTM_NEW… and RTM_DEL… of each kind. */
const NOTICE = new Map<number, Change>([
  [16, 'link'],
  [17, 'link'],
  [20, 'address'],
  [21, 'address'],
  [24, 'route'],
  [25, 'route'],
]);

/** The kinds of change among what waits on the socket; all of them where the kernel dropped some notices. */
function drain(fd: number, datagram: Buffer): Set<Change> {
  const seen = new Set<Change>();
  for (;;) {
    const size = libc().recv(fd, datagram, datagram.length, MSG_DONTWAIT);
    if (size < 0) {
      if (lastErrno() !== -ERRNO.ENOBUFS) return seen;
      for (const kind of NOTICE.values()) seen.add(kind);
      continue;
    }
    for (const { type } of decodeMessages(datagram.subarray(0, size))) {
      const kind = NOTICE.get(type);
      if (kind !== undefined) seen.add(kind);
    }
  }
}

/** Calls back once per kind and burst, from the event loop, after something changed. Does not keep Node alive. */
export function watchChanges(onChange: (what: Change) => void): Disposable {
  const fd = openSocket(GROUPS.link | GROUPS.address | GROUPS.route);
  const datagram = Buffer.allocUnsafeSlow(DATAGRAM);
  const poll = onReadable(fd, () => {
    for (const kind of drain(fd, datagram)) onChange(kind);
  });
  let open = true;
  return {
    [Symbol.dispose]() {
      if (!open) return;
      open = false;
      poll[Symbol.dispose]();
      closeFd(fd);
    },
  };
}
