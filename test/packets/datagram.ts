/** Frames read by hand, a second time and naively: the model of the fuzz run shares no code with what it watches. */
import { addressFromBytes } from '../../base/index.ts';

const TCP = 6;
const FRAGMENT = 44;
const SYN = 2;
const SYN_ACK = 18;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;

/** What ICMP of each family calls things; by protocol number. */
const ICMP: Record<number, { echo: number; reply: number; errors: number[]; steering: number[] }> = {
  1: { echo: 8, reply: 0, errors: [3, 11, 12], steering: [5, 9, 10] },
  58: {
    ...{ echo: 128, reply: 129, errors: [1, 2, 3, 4] },
    steering: [130, 131, 132, 133, 134, 135, 136, 137, 138, 141, 142, 143, 148, 149, 151, 152, 153],
  },
};

interface End {
  ip: string;
  port: number;
}

/** A flow as its packet shows it; for ICMP echo the id is the asker's port. */
export interface Flow {
  protocol: number;
  from: End;
  to: End;
  /** ICMP: the type of what is no echo. */
  message: number;
}

export interface Datagram extends Flow {
  source: string;
  destination: string;
  /** What it cannot be but an answer: an echo reply, an ICMP error. */
  isAnswer: boolean;
  /** It opens a connection and cannot be an answer. */
  isOpening: boolean;
  fragment: 'none' | 'first' | 'later';
  id: number;
}

/** An IP header without options: who, whom, what, and where that is. */
interface Header {
  source: string;
  destination: string;
  protocol: number;
  l4: number;
  fragment: Datagram['fragment'];
  id: number;
}

export function turned({ protocol, from, to, message }: Flow): Flow {
  return { protocol, from: to, to: from, message };
}

/** What policy takes for the port of an ICMP flow. */
export function typeOf({ protocol, message }: Flow): number | undefined {
  return message || ICMP[protocol]?.echo;
}

function ip4At(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

function header4(bytes: Buffer, at: number): Header | undefined {
  if (bytes.readUInt8(at) !== 0x45) return undefined;
  const cut = bytes.readUInt16BE(at + 6);
  return {
    ...{ source: ip4At(bytes, at + 12), destination: ip4At(bytes, at + 16) },
    ...{ protocol: bytes.readUInt8(at + 9), l4: at + 20, id: bytes.readUInt16BE(at + 4) },
    fragment: cut & 0x1fff ? 'later' : cut & 0x2000 ? 'first' : 'none',
  };
}

/** An IPv4 address has no place in it. */
function header6(bytes: Buffer, at: number): Header | undefined {
  if (bytes.readUInt8(at) >> 4 !== 6) return undefined;
  const [source, destination] = [addressFromBytes(bytes, at + 8), addressFromBytes(bytes, at + 24)];
  if (!source.includes(':') || !destination.includes(':')) return undefined;
  const next = bytes.readUInt8(at + 6);
  const whole = { source, destination, protocol: next, l4: at + 40, id: 0, fragment: 'none' } as const;
  if (next !== FRAGMENT) return whole;
  const cut = bytes.readUInt16BE(at + 42);
  return {
    ...{ ...whole, protocol: bytes.readUInt8(at + 40), l4: at + 48, id: bytes.readUInt32BE(at + 44) },
    fragment: cut & 0xfff8 ? 'later' : cut & 1 ? 'first' : 'none',
  };
}

/** The flow that a header and what follows it belong to. */
function flowOf(bytes: Buffer, { source, destination, protocol, l4 }: Header): Flow | undefined {
  const flow = { protocol, from: { ip: source, port: 0 }, to: { ip: destination, port: 0 }, message: 0 };
  const icmp = ICMP[protocol];
  if (icmp === undefined) {
    flow.from.port = bytes.readUInt16BE(l4);
    flow.to.port = bytes.readUInt16BE(l4 + 2);
    return flow;
  }
  const type = bytes.readUInt8(l4);
  if (type === icmp.echo) flow.from.port = bytes.readUInt16BE(l4 + 4);
  else if (type === icmp.reply) flow.to.port = bytes.readUInt16BE(l4 + 4);
  else if (icmp.steering.includes(type) || icmp.errors.includes(type)) return undefined;
  else flow.message = type;
  return flow;
}

function headerAt(bytes: Buffer, at: number, isSix: boolean): Header | undefined {
  const header = isSix ? header6(bytes, at) : header4(bytes, at);
  return header?.protocol === (isSix ? 1 : 58) ? undefined : header;
}

/** The IP header of a frame, with room behind it to read on. */
function readHeader(frame: Buffer): { bytes: Buffer; header: Header; isSix: boolean } | undefined {
  const isSix = frame.readUInt16BE(12) === IPV6;
  if ((!isSix && frame.readUInt16BE(12) !== IPV4) || frame.length < (isSix ? 54 : 34)) return undefined;
  const bytes = Buffer.concat([frame, Buffer.alloc(150)]);
  const header = headerAt(bytes, 14, isSix);
  return header && { bytes, header, isSix };
}

/** The flow that an ICMP error is about, from where it stands. */
function quotedAt(bytes: Buffer, at: number, isSix: boolean): Flow | undefined {
  const header = headerAt(bytes, at, isSix);
  const quoted = header && flowOf(bytes, header);
  return quoted && turned(quoted);
}

/** A packet without options, or undefined: one that none may send. */
export function readDatagram(frame: Buffer): Datagram | undefined {
  const read = readHeader(frame);
  if (read === undefined) return undefined;
  const { bytes, isSix, header } = read;
  const { source, destination, fragment, id, protocol, l4 } = header;
  const about = { source, destination, fragment, id, isAnswer: false, isOpening: false };
  if (fragment === 'later') {
    return {
      ...about,
      protocol,
      from: { ip: source, port: 0 },
      to: { ip: destination, port: 0 },
      message: 0,
    };
  }
  const icmp = ICMP[protocol];
  const type = bytes.readUInt8(l4);
  if (icmp?.errors.includes(type) === true) {
    const quoted = quotedAt(bytes, l4 + 8, isSix);
    return quoted && { ...about, ...quoted, isAnswer: true };
  }
  const flow = flowOf(bytes, header);
  const isAnswer = type === icmp?.reply;
  const isSyn = protocol === TCP && (bytes.readUInt8(l4 + 13) & SYN_ACK) === SYN;
  return flow && { ...about, ...flow, isAnswer, isOpening: isSyn || (icmp !== undefined && !isAnswer) };
}
