/**
 * Packets for tests, built layer by layer. A packet is never changed: every method gives a new one with some fields
 * replaced, so that what is expected is written as what was sent plus the difference. Lengths and checksums are right
 * unless a field says otherwise.
 */
import { addressBytes } from '../../base/index.ts';
import { crc32c, internetChecksum } from './checksum.ts';

export interface Ethernet {
  source: string;
  destination: string;
  /** Left out: by the layer above. */
  type?: number;
}

export interface Arp {
  operation: number;
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
  hardware: number;
  protocol: number;
}

/** An IP header; the family is that of its destination. */
export interface Ip {
  source: string;
  destination: string;
  ttl: number;
  id: number;
  version: number;
  /** IPv4: options, whole words. IPv6: extension headers, the first of which is a hop-by-hop header unless `extension` says else. */
  options: Buffer;
  extension?: number;
  protocol?: number;
  /** Of the packet. IPv6 writes down how much of it is behind the fixed header. */
  totalLength?: number;
  /** IPv4 only, as is the checksum. */
  headerLength?: number;
  checksum?: number;
}

export interface Tcp {
  sourcePort: number;
  destinationPort: number;
  /** Letters of FSRPAU. */
  flags: string;
  sequence: number;
  acknowledgement: number;
  headerLength?: number;
  checksum?: number;
}

export interface Udp {
  sourcePort: number;
  destinationPort: number;
  /** 0: not checked (RFC 768). */
  checksum?: number;
}

export interface Icmp {
  type: number;
  code: number;
  id: number;
  sequence: number;
}

export interface Sctp {
  sourcePort: number;
  destinationPort: number;
  tag: number;
}

/** What lies above IP: how it is written, given the addresses. */
type Layer =
  | { kind: 'tcp'; fields: Tcp }
  | { kind: 'udp'; fields: Udp }
  | { kind: 'icmp'; fields: Icmp }
  | { kind: 'sctp'; fields: Sctp }
  | { kind: 'raw' };

interface Parts {
  ethernet: Ethernet;
  arp?: Arp;
  ip?: Ip;
  layer: Layer;
  payload: Buffer;
  cut?: { offset: number; length: number };
}

const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, sctp: 132, raw: 253, icmp6: 58 } as const;
const EXTENSION = { hopByHop: 0, fragment: 44 } as const;
const HEADER6 = 40;
const FLAGS = 'FSRPAU';
const MORE_FRAGMENTS = 0x2000;
export const NO_MAC = '00:00:00:00:00:00';

const DEFAULT_TCP: Tcp = {
  sourcePort: 40000,
  destinationPort: 80,
  flags: 'S',
  sequence: 1,
  acknowledgement: 0,
};
const DEFAULT_IP = { ttl: 64, id: 1, options: Buffer.alloc(0) };

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function is6(address: string): boolean {
  return address.includes(':');
}

/** Four bytes or sixteen. */
export function ipBytes(address: string): Buffer {
  const bytes = addressBytes(address);
  return is6(address) ? bytes : bytes.subarray(12);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => bytes.writeUInt16BE(value, i * 2));
  return bytes;
}

function longs(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32BE(value >>> 0, i * 4));
  return bytes;
}

function pseudoHeader(ip: Ip, protocol: number, length: number): Buffer {
  const counted = is6(ip.destination) ? longs(length, protocol) : words(protocol, length);
  return Buffer.concat([ipBytes(ip.source), ipBytes(ip.destination), counted]);
}

function protocolOf(kind: Layer['kind'], ip: Ip): number {
  return kind === 'icmp' && is6(ip.destination) ? PROTOCOL.icmp6 : PROTOCOL[kind];
}

function tcpBytes(tcp: Tcp, payload: Buffer, ip: Ip): Buffer {
  const flags = tcp.flags.split('').reduce((bits, letter) => bits | (1 << FLAGS.indexOf(letter)), 0);
  const offset = (tcp.headerLength ?? 20) / 4;
  const head = Buffer.concat([
    words(tcp.sourcePort, tcp.destinationPort),
    longs(tcp.sequence, tcp.acknowledgement),
    words((offset << 12) | flags, 0xffff, 0, 0),
  ]);
  const pseudo = pseudoHeader(ip, PROTOCOL.tcp, head.length + payload.length);
  head.writeUInt16BE(tcp.checksum ?? internetChecksum(pseudo, head, payload), 16);
  return Buffer.concat([head, payload]);
}

function udpBytes(udp: Udp, payload: Buffer, ip: Ip): Buffer {
  const head = words(udp.sourcePort, udp.destinationPort, 8 + payload.length, 0);
  const sum = internetChecksum(pseudoHeader(ip, PROTOCOL.udp, head.length + payload.length), head, payload);
  head.writeUInt16BE(udp.checksum ?? (sum || 0xffff), 6);
  return Buffer.concat([head, payload]);
}

function icmpBytes(icmp: Icmp, payload: Buffer, ip: Ip): Buffer {
  const head = words((icmp.type << 8) | icmp.code, 0, icmp.id, icmp.sequence);
  const covered = is6(ip.destination) ? [pseudoHeader(ip, PROTOCOL.icmp6, 8 + payload.length)] : [];
  head.writeUInt16BE(internetChecksum(...covered, head, payload), 2);
  return Buffer.concat([head, payload]);
}

function sctpBytes(sctp: Sctp, payload: Buffer): Buffer {
  const bytes = Buffer.concat([words(sctp.sourcePort, sctp.destinationPort), longs(sctp.tag, 0), payload]);
  bytes.writeUInt32LE(crc32c(bytes), 8);
  return bytes;
}

function layerBytes(layer: Layer, payload: Buffer, ip: Ip): Buffer {
  switch (layer.kind) {
    case 'tcp':
      return tcpBytes(layer.fields, payload, ip);
    case 'udp':
      return udpBytes(layer.fields, payload, ip);
    case 'icmp':
      return icmpBytes(layer.fields, payload, ip);
    case 'sctp':
      return sctpBytes(layer.fields, payload);
    case 'raw':
      return payload;
  }
}

/** What an IP header carries, whole or as a fragment. */
interface Above {
  protocol: number;
  bytes: Buffer;
  cut?: { offset: number; more: boolean };
}

function ipv4Bytes(ip: Ip, { protocol, bytes, cut }: Above): Buffer {
  const length = 20 + ip.options.length;
  const fragment = cut === undefined ? 0 : (cut.offset / 8) | (cut.more ? MORE_FRAGMENTS : 0);
  const head = Buffer.concat([
    words(
      (ip.version << 12) | (((ip.headerLength ?? length) / 4) << 8),
      ip.totalLength ?? length + bytes.length,
    ),
    words(ip.id, fragment, (ip.ttl << 8) | (ip.protocol ?? protocol), 0),
    ipBytes(ip.source),
    ipBytes(ip.destination),
    ip.options,
  ]);
  head.writeUInt16BE(ip.checksum ?? internetChecksum(head), 10);
  return Buffer.concat([head, bytes]);
}

function ipv6Bytes(ip: Ip, { protocol, bytes, cut }: Above): Buffer {
  const upper = ip.protocol ?? protocol;
  const fragment =
    cut === undefined
      ? Buffer.alloc(0)
      : Buffer.concat([words(upper << 8, cut.offset | (cut.more ? 1 : 0)), longs(ip.id)]);
  const behind = Buffer.concat([ip.options, fragment, bytes]);
  const inner = cut === undefined ? upper : EXTENSION.fragment;
  const next = ip.options.length > 0 ? (ip.extension ?? EXTENSION.hopByHop) : inner;
  const length = ip.totalLength === undefined ? behind.length : ip.totalLength - HEADER6;
  const head = words(ip.version << 12, 0, length, (next << 8) | ip.ttl);
  return Buffer.concat([head, ipBytes(ip.source), ipBytes(ip.destination), behind]);
}

function arpBytes(arp: Arp): Buffer {
  return Buffer.concat([
    words(arp.hardware, arp.protocol, 0x0604, arp.operation),
    ...[macBytes(arp.senderMac), ipBytes(arp.senderIp), macBytes(arp.targetMac), ipBytes(arp.targetIp)],
  ]);
}

export class Packet {
  readonly #parts: Parts;

  constructor(
    parts: Parts = {
      ethernet: { source: NO_MAC, destination: NO_MAC },
      layer: { kind: 'raw' },
      payload: Buffer.alloc(0),
    },
  ) {
    this.#parts = parts;
  }

  ethernet(change: Partial<Ethernet>): Packet {
    return this.#with({ ethernet: { ...this.#parts.ethernet, ...change } });
  }

  arp(change: Partial<Arp>): Packet {
    const nobody = { senderMac: NO_MAC, senderIp: '0.0.0.0', targetMac: NO_MAC, targetIp: '0.0.0.0' };
    const arp = this.#parts.arp ?? { operation: 1, hardware: 1, protocol: ETHERTYPE.ipv4, ...nobody };
    return this.#with({ arp: { ...arp, ...change } });
  }

  ip(change: Partial<Ip>): Packet {
    const { source = '0.0.0.0', destination = '0.0.0.0' } = change;
    const fresh = { source, destination, ...DEFAULT_IP, version: is6(destination) ? 6 : 4 };
    return this.#with({ ip: { ...(this.#parts.ip ?? fresh), ...change } });
  }

  tcp(change: Partial<Tcp> = {}): Packet {
    const { layer } = this.#parts;
    const fields = { ...(layer.kind === 'tcp' ? layer.fields : DEFAULT_TCP), ...change };
    return this.#with({ layer: { kind: 'tcp', fields } });
  }

  udp(change: Partial<Udp> = {}): Packet {
    const { layer } = this.#parts;
    const fields = {
      ...(layer.kind === 'udp' ? layer.fields : { sourcePort: 40000, destinationPort: 53 }),
      ...change,
    };
    return this.#with({ layer: { kind: 'udp', fields } });
  }

  icmp(change: Partial<Icmp> = {}): Packet {
    const { layer, ip } = this.#parts;
    const type = ip !== undefined && is6(ip.destination) ? 128 : 8;
    const fields = {
      ...(layer.kind === 'icmp' ? layer.fields : { type, code: 0, id: 7, sequence: 1 }),
      ...change,
    };
    return this.#with({ layer: { kind: 'icmp', fields } });
  }

  sctp(change: Partial<Sctp> = {}): Packet {
    const { layer } = this.#parts;
    const fields = {
      ...(layer.kind === 'sctp' ? layer.fields : { sourcePort: 40000, destinationPort: 9, tag: 1 }),
      ...change,
    };
    return this.#with({ layer: { kind: 'sctp', fields } });
  }

  payload(payload: Buffer | string): Packet {
    return this.#with({ payload: Buffer.from(payload) });
  }

  /** An ICMP error about `packet`: its IP header and the first eight bytes behind it (RFC 792). */
  quoting(packet: Packet): Packet {
    return this.payload(packet.datagram().subarray(0, packet.is6 ? HEADER6 + 8 : 28));
  }

  /** The part of the datagram from `offset` on, as a fragment; offset in bytes, a multiple of eight. */
  fragment(offset: number, length: number): Packet {
    return this.#with({ cut: { offset, length } });
  }

  /** From the IP header on. */
  datagram(): Buffer {
    const { ip, layer, payload, cut } = this.#parts;
    if (ip === undefined) return payload;
    const whole = layerBytes(layer, payload, ip);
    const protocol = protocolOf(layer.kind, ip);
    const write = this.is6 ? ipv6Bytes : ipv4Bytes;
    if (cut === undefined) return write(ip, { protocol, bytes: whole });
    const { offset } = cut;
    const end = offset + cut.length;
    const more = end < whole.length;
    return write(ip, { protocol, cut: { offset, more }, bytes: whole.subarray(offset, end) });
  }

  /** The frame. */
  bytes(): Buffer {
    const { ethernet, arp } = this.#parts;
    const type = ethernet.type ?? ETHERTYPE[arp !== undefined ? 'arp' : this.is6 ? 'ipv6' : 'ipv4'];
    const body = arp === undefined ? this.datagram() : arpBytes(arp);
    return Buffer.concat([macBytes(ethernet.destination), macBytes(ethernet.source), words(type), body]);
  }

  get is6(): boolean {
    return is6(this.#parts.ip?.destination ?? '');
  }

  #with(change: Partial<Parts>): Packet {
    return new Packet({ ...this.#parts, ...change });
  }
}
