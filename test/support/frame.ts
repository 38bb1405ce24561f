/** Frames read back field by field, so that a failed comparison names the header and the field. */
import { addressFromBytes } from '../../base/index.ts';
import { crc32c, internetChecksum } from './checksum.ts';

type Fields = Record<string, unknown>;
export type Frame = Record<string, Fields>;

const FLAGS = 'FSRPAU';

function macText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/..(?!$)/g, '$&:');
}

function ipText(bytes: Buffer): string {
  return [...bytes].join('.');
}

/** A checksum over everything, its own field included, comes to zero where it is right. */
function isRight(...parts: Buffer[]): boolean {
  return internetChecksum(...parts) === 0;
}

function arpFields(bytes: Buffer): Fields {
  return {
    operation: bytes.readUInt16BE(6),
    senderMac: macText(bytes.subarray(8, 14)),
    senderIp: ipText(bytes.subarray(14, 18)),
    targetMac: macText(bytes.subarray(18, 24)),
    targetIp: ipText(bytes.subarray(24, 28)),
  };
}

function portFields(bytes: Buffer): Fields {
  return { sourcePort: bytes.readUInt16BE(0), destinationPort: bytes.readUInt16BE(2) };
}

function tcpFields(bytes: Buffer, pseudo: Buffer): Fields {
  const flags = bytes.readUInt8(13);
  return {
    ...portFields(bytes),
    sequence: bytes.readUInt32BE(4),
    acknowledgement: bytes.readUInt32BE(8),
    flags: FLAGS.split('')
      .filter((_, bit) => flags & (1 << bit))
      .join(''),
    checksumIsRight: isRight(pseudo, bytes),
    payload: bytes.subarray(20).toString('hex'),
  };
}

function udpFields(bytes: Buffer, pseudo: Buffer): Fields {
  return {
    ...portFields(bytes),
    length: bytes.readUInt16BE(4),
    checksum: bytes.readUInt16BE(6) === 0 ? 'none' : isRight(pseudo, bytes) ? 'right' : 'wrong',
    payload: bytes.subarray(8).toString('hex'),
  };
}

function icmpFields(bytes: Buffer, pseudo?: Buffer): Fields {
  const type = bytes.readUInt8(0);
  const isError = pseudo === undefined ? [3, 11, 12].includes(type) : type >= 1 && type <= 4;
  const quotes = isError && bytes.length >= (pseudo === undefined ? 36 : 56);
  const quoted = pseudo === undefined ? ipv4Layers : ipv6Layers;
  return {
    type,
    code: bytes.readUInt8(1),
    id: bytes.readUInt16BE(4),
    sequence: bytes.readUInt16BE(6),
    checksumIsRight: pseudo === undefined ? isRight(bytes) : isRight(pseudo, bytes),
    ...(quotes
      ? { quoted: quoted(bytes.subarray(8), true) }
      : { payload: bytes.subarray(8).toString('hex') }),
  };
}

function sctpFields(bytes: Buffer): Fields {
  const blank = Buffer.from(bytes);
  blank.writeUInt32LE(0, 8);
  return { ...portFields(bytes), checksumIsRight: bytes.readUInt32LE(8) === crc32c(blank) };
}

function layerOf(protocol: number, bytes: Buffer, pseudo: Buffer): Frame {
  if (protocol === 6 && bytes.length >= 20) return { tcp: tcpFields(bytes, pseudo) };
  if (protocol === 17 && bytes.length >= 8) return { udp: udpFields(bytes, pseudo) };
  if (protocol === 1 && bytes.length >= 8) return { icmp: icmpFields(bytes) };
  if (protocol === 58 && bytes.length >= 8) return { icmp6: icmpFields(bytes, pseudo) };
  if (protocol === 132 && bytes.length >= 12) return { sctp: sctpFields(bytes) };
  return { rest: { bytes: bytes.toString('hex') } };
}

/** A quoted packet is cut off after eight bytes, a fragment has part of its datagram: neither can be checked as a whole. */
function ipv4Layers(bytes: Buffer, isQuoted = false): Frame {
  const headerLength = (bytes.readUInt8(0) & 15) * 4;
  const fragment = bytes.readUInt16BE(6);
  const protocol = bytes.readUInt8(9);
  const totalLength = bytes.readUInt16BE(2);
  const body = bytes.subarray(headerLength, isQuoted ? bytes.length : totalLength);
  const ipv4 = {
    source: ipText(bytes.subarray(12, 16)),
    destination: ipText(bytes.subarray(16, 20)),
    ttl: bytes.readUInt8(8),
    id: bytes.readUInt16BE(4),
    totalLength,
    fragment,
    protocol,
    checksumIsRight: isRight(bytes.subarray(0, headerLength)),
  };
  if (isQuoted) return { ipv4, l4: { bytes: body.subarray(0, 8).toString('hex') } };
  if (fragment & 0x3fff) return { ipv4, rest: { bytes: body.toString('hex') } };
  const pseudo = Buffer.alloc(12);
  bytes.copy(pseudo, 0, 12, 20);
  pseudo.writeUInt16BE(protocol, 8);
  pseudo.writeUInt16BE(body.length, 10);
  return { ipv4, ...layerOf(protocol, body, pseudo) };
}

/** An extension header is left as it is. */
function ipv6Layers(bytes: Buffer, isQuoted = false): Frame {
  const protocol = bytes.readUInt8(6);
  const payloadLength = bytes.readUInt16BE(4);
  const body = bytes.subarray(40, isQuoted ? bytes.length : 40 + payloadLength);
  const ipv6 = {
    source: addressFromBytes(bytes, 8),
    destination: addressFromBytes(bytes, 24),
    ttl: bytes.readUInt8(7),
    payloadLength,
    protocol,
  };
  if (isQuoted) return { ipv6, l4: { bytes: body.subarray(0, 8).toString('hex') } };
  const pseudo = Buffer.alloc(40);
  bytes.copy(pseudo, 0, 8, 40);
  pseudo.writeUInt32BE(body.length, 32);
  pseudo.writeUInt32BE(protocol, 36);
  return { ipv6, ...layerOf(protocol, body, pseudo) };
}

/** Layer → fields. */
export function readFrame(bytes: Buffer): Frame {
  const type = bytes.readUInt16BE(12);
  const ethernet = {
    destination: macText(bytes.subarray(0, 6)),
    source: macText(bytes.subarray(6, 12)),
    type,
  };
  const body = bytes.subarray(14);
  if (type === 0x0806 && body.length >= 28) return { ethernet, arp: arpFields(body) };
  if (type === 0x0800 && body.length >= 20 && (body.readUInt8(0) & 15) >= 5)
    return { ethernet, ...ipv4Layers(body) };
  if (type === 0x86dd && body.length >= 40) return { ethernet, ...ipv6Layers(body) };
  return { ethernet, rest: { bytes: body.toString('hex') } };
}
