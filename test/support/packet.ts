/**
 * Packets for tests, built layer by layer. A packet is never changed: every method gives a new one with some fields
 * replaced, so that what is expected is written as what was sent plus the difference. Lengths and checksums are right
 * unless a field says otherwise.
 */
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

export interface Ipv4 {
  source: string;
  destination: string;
  ttl: number;
  id: number;
  version: number;
  /** Whole words. */
  options: Buffer;
  protocol?: number;
  totalLength?: number;
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

/** What lies above IPv4: how it is written, given the addresses. */
type Layer =
  | { kind: 'tcp'; fields: Tcp }
  | { kind: 'udp'; fields: Udp }
  | { kind: 'icmp'; fields: Icmp }
  | { kind: 'sctp'; fields: Sctp }
  | { kind: 'raw' };

interface Parts {
  ethernet: Ethernet;
  arp?: Arp;
  ipv4?: Ipv4;
  layer: Layer;
  payload: Buffer;
  cut?: { offset: number; length: number };
}

const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806 } as const;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, sctp: 132, raw: 253 } as const;
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
const DEFAULT_IPV4 = { ttl: 64, id: 1, version: 4, options: Buffer.alloc(0) };

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function ipBytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
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

function pseudoHeader(ip: Ipv4, protocol: number, length: number): Buffer {
  return Buffer.concat([ipBytes(ip.source), ipBytes(ip.destination), words(protocol, length)]);
}

function tcpBytes(tcp: Tcp, payload: Buffer, ip: Ipv4): Buffer {
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

function udpBytes(udp: Udp, payload: Buffer, ip: Ipv4): Buffer {
  const head = words(udp.sourcePort, udp.destinationPort, 8 + payload.length, 0);
  const sum = internetChecksum(pseudoHeader(ip, PROTOCOL.udp, head.length + payload.length), head, payload);
  head.writeUInt16BE(udp.checksum ?? (sum || 0xffff), 6);
  return Buffer.concat([head, payload]);
}

function icmpBytes(icmp: Icmp, payload: Buffer): Buffer {
  const head = words((icmp.type << 8) | icmp.code, 0, icmp.id, icmp.sequence);
  head.writeUInt16BE(internetChecksum(head, payload), 2);
  return Buffer.concat([head, payload]);
}

function sctpBytes(sctp: Sctp, payload: Buffer): Buffer {
  const bytes = Buffer.concat([words(sctp.sourcePort, sctp.destinationPort), longs(sctp.tag, 0), payload]);
  bytes.writeUInt32LE(crc32c(bytes), 8);
  return bytes;
}

function layerBytes(layer: Layer, payload: Buffer, ip: Ipv4): Buffer {
  switch (layer.kind) {
    case 'tcp':
      return tcpBytes(layer.fields, payload, ip);
    case 'udp':
      return udpBytes(layer.fields, payload, ip);
    case 'icmp':
      return icmpBytes(layer.fields, payload);
    case 'sctp':
      return sctpBytes(layer.fields, payload);
    case 'raw':
      return payload;
  }
}

function ipv4Bytes(ip: Ipv4, above: { protocol: number; fragment: number; bytes: Buffer }): Buffer {
  const length = 20 + ip.options.length;
  const head = Buffer.concat([
    words(
      (ip.version << 12) | (((ip.headerLength ?? length) / 4) << 8),
      ip.totalLength ?? length + above.bytes.length,
    ),
    words(ip.id, above.fragment, (ip.ttl << 8) | (ip.protocol ?? above.protocol), 0),
    ipBytes(ip.source),
    ipBytes(ip.destination),
    ip.options,
  ]);
  head.writeUInt16BE(ip.checksum ?? internetChecksum(head), 10);
  return Buffer.concat([head, above.bytes]);
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

  ipv4(change: Partial<Ipv4>): Packet {
    const ipv4 = this.#parts.ipv4 ?? { source: '0.0.0.0', destination: '0.0.0.0', ...DEFAULT_IPV4 };
    return this.#with({ ipv4: { ...ipv4, ...change } });
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
    const { layer } = this.#parts;
    const fields = {
      ...(layer.kind === 'icmp' ? layer.fields : { type: 8, code: 0, id: 7, sequence: 1 }),
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
    return this.payload(packet.datagram().subarray(0, 28));
  }

  /** The part of the datagram from `offset` on, as a fragment (RFC 791); offset in bytes, a multiple of eight. */
  fragment(offset: number, length: number): Packet {
    return this.#with({ cut: { offset, length } });
  }

  /** From the IP header on. */
  datagram(): Buffer {
    const { ipv4, layer, payload, cut } = this.#parts;
    if (ipv4 === undefined) return payload;
    const whole = layerBytes(layer, payload, ipv4);
    const protocol = PROTOCOL[layer.kind];
    if (cut === undefined) return ipv4Bytes(ipv4, { protocol, fragment: 0, bytes: whole });
    const end = cut.offset + cut.length;
    const fragment = (cut.offset / 8) | (end < whole.length ? MORE_FRAGMENTS : 0);
    return ipv4Bytes(ipv4, { protocol, fragment, bytes: whole.subarray(cut.offset, end) });
  }

  /** The frame. */
  bytes(): Buffer {
    const { ethernet, arp } = this.#parts;
    const type = ethernet.type ?? (arp === undefined ? ETHERTYPE.ipv4 : ETHERTYPE.arp);
    const body = arp === undefined ? this.datagram() : arpBytes(arp);
    return Buffer.concat([macBytes(ethernet.destination), macBytes(ethernet.source), words(type), body]);
  }

  #with(change: Partial<Parts>): Packet {
    return new Packet({ ...this.#parts, ...change });
  }
}
