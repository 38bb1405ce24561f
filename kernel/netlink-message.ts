/** Netlink messages: {u32 length, u16 type, u16 flags, u32 sequence, u32 port, payload, padding to 4}. Pure. */
import { decodeAttributes, readText } from './netlink-attribute.ts';

export const HEADER_SIZE = 16;

/** Flags of a request. A dump's and a change's share bits. */
export const FLAG = {
  request: 1,
  ack: 4,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
} as const;

/** Flags of an answer. */
const DUMP_INTERRUPTED = 0x10;
const CAPPED = 0x100;
const ACK_ATTRIBUTES = 0x200;

export const NLMSG = { error: 2, done: 3 } as const;
const ERROR_TEXT = 1; // NLMSGERR_ATTR_MSG

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  payload: Buffer;
}

export function encodeMessage({ type, flags, sequence, payload }: Message): Buffer {
  const message = Buffer.alloc(HEADER_SIZE + ((payload.length + 3) & ~3));
  message.writeUInt32LE(HEADER_SIZE + payload.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  message.set(payload, HEADER_SIZE);
  return message;
}

/** The messages of one datagram; payloads point into it. Stops at the first that does not fit. */
export function* decodeMessages(datagram: Buffer): Generator<Message> {
  for (let at = 0; at + HEADER_SIZE <= datagram.length;) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_SIZE || at + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + HEADER_SIZE, at + length),
    };
    at += (length + 3) & ~3;
  }
}

/** Whether what is dumped changed meanwhile, so that entries may be missing or doubled. */
export function isInterrupted({ flags }: Message): boolean {
  return (flags & DUMP_INTERRUPTED) !== 0;
}

export interface Acknowledgement {
  /** 0, or a negative errno. */
  code: number;
  /** The kernel's own sentence (extended ack), where it gives one. */
  text?: string;
}

/** Reads an NLMSG_ERROR, which also is the good answer (code 0), or the code that closes a dump. */
export function decodeAcknowledgement({ type, flags, payload }: Message): Acknowledgement {
  const code = payload.length >= 4 ? payload.readInt32LE() : 0;
  if ((flags & ACK_ATTRIBUTES) === 0) return { code };
  const text = readText(decodeAttributes(payload.subarray(attributesAt(type, flags, payload))), ERROR_TEXT);
  return text === undefined ? { code } : { code, text };
}

/** An error quotes the request, whole unless capped to its header; the end of a dump quotes nothing. */
function attributesAt(type: number, flags: number, payload: Buffer): number {
  if (type === NLMSG.done || payload.length < 4 + HEADER_SIZE) return 4;
  const quoted = (flags & CAPPED) !== 0 ? HEADER_SIZE : payload.readUInt32LE(4);
  return 4 + ((quoted + 3) & ~3);
}
