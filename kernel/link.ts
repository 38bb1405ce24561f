/** Links in rtnetlink's form (struct ifinfomsg and IFLA_*). Pure. */
import {
  bytes,
  decodeAttributes,
  given,
  macBytes,
  macText,
  nested,
  readNested,
  readText,
  readU32,
  text,
  u32,
  u8,
  whole,
} from './netlink-attribute.ts';

export const RTM_LINK = { create: 16, delete: 17, get: 18, set: 19 } as const;

const IFLA = { address: 1, name: 3, mtu: 4, link: 5, master: 10, info: 18, families: 26, group: 27 } as const;
const INFO = { kind: 1, data: 2 } as const;
const VETH_PEER = 1;
const IFF = { up: 0x1, loopback: 0x8, lowerUp: 0x10000 } as const;
const ARPHRD_ETHER = 1;
const AF_INET6 = 10;
const ADDRESS_GENERATION = 8; // IFLA_INET6_ADDR_GEN_MODE
const GENERATE_NONE = 1;

export interface Link {
  index: number;
  name: string;
  /** Empty for links without one, such as tunnels. */
  mac: string;
  /** Its packets are in Ethernet frames; else they are bare, as those of WireGuard, TUN and PPP. */
  framed: boolean;
  mtu: number;
  /** Administratively. */
  up: boolean;
  /** A cable, or a peer that is up too. */
  carrier: boolean;
  loopback: boolean;
  /** "veth", "bridge", "vxlan"…; undefined for hardware. */
  kind?: string;
  /** Index of the bridge it is a port of. */
  master?: number;
  /** Of a veth: its peer's index, in the peer's own network namespace. */
  peerIndex?: number;
}

/** What can be said of a link when it is made or changed. */
export interface LinkFields {
  index?: number;
  name?: string;
  mac?: string;
  mtu?: number;
  master?: number;
  /** Any number; links of one group can be deleted together. */
  group?: number;
  up?: boolean;
  kind?: string;
}

function header(index: number, up?: boolean): Buffer {
  const head = Buffer.alloc(16); // family, type, index, flags, change mask
  head.writeInt32LE(index, 4);
  if (up !== undefined) {
    head.writeUInt32LE(up ? IFF.up : 0, 8);
    head.writeUInt32LE(IFF.up, 12);
  }
  return head;
}

function fields({ name, mac, mtu, master, group }: LinkFields): Buffer[] {
  return [
    given(name, (value) => text(IFLA.name, value)),
    given(mac, (value) => bytes(IFLA.address, macBytes(value))),
    given(mtu, (value) => u32(IFLA.mtu, value)),
    given(master, (value) => u32(IFLA.master, value)),
    given(group, (value) => u32(IFLA.group, value)),
  ];
}

export function encodeLink(link: LinkFields): Buffer {
  const kind = given(link.kind, (value) => nested(IFLA.info, text(INFO.kind, value)));
  return Buffer.concat([header(link.index ?? 0, link.up), ...fields(link), kind]);
}

/** A veth pair; both ends are made in one request, so that neither is ever seen without its MAC and MTU. */
export function encodeVeth(host: LinkFields, peer: LinkFields): Buffer {
  const other = nested(VETH_PEER, header(0), ...fields(peer));
  const info = nested(IFLA.info, text(INFO.kind, 'veth'), nested(INFO.data, other));
  return Buffer.concat([header(0), ...fields(host), info]);
}

/** Makes the kernel give the link no IPv6 link-local address when it comes up. */
export function encodeNoLinkLocal(index: number): Buffer {
  const mode = nested(AF_INET6, u8(ADDRESS_GENERATION, GENERATE_NONE));
  return Buffer.concat([header(index), nested(IFLA.families, mode)]);
}

/** Undefined for what is too short to be a link. */
export function decodeLink(payload: Buffer): Link | undefined {
  if (payload.length < 16) return undefined;
  const flags = payload.readUInt32LE(8);
  const found = decodeAttributes(payload.subarray(16));
  const kind = readText(readNested(found, IFLA.info), INFO.kind);
  const master = readU32(found, IFLA.master);
  const peerIndex = kind === 'veth' ? readU32(found, IFLA.link) : undefined;
  return {
    index: payload.readInt32LE(4),
    name: readText(found, IFLA.name) ?? '',
    mac: macText(found.get(IFLA.address) ?? []),
    framed: payload.readUInt16LE(2) === ARPHRD_ETHER,
    mtu: readU32(found, IFLA.mtu) ?? 0,
    up: (flags & IFF.up) !== 0,
    carrier: (flags & IFF.lowerUp) !== 0,
    loopback: (flags & IFF.loopback) !== 0,
    ...whole({ kind, master, peerIndex }),
  };
}
