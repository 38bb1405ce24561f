/** Neighbours (ARP and ND entries) in rtnetlink's form (struct ndmsg and NDA_*). Pure. */
import { familyOf } from '../base/index.ts';
import type { Family } from '../base/index.ts';
import { AF, familyFrom } from './interface-address.ts';
import {
  address,
  bytes,
  decodeAttributes,
  given,
  macBytes,
  macText,
  readAddress,
} from './netlink-attribute.ts';

export const RTM_NEIGHBOUR = { create: 28, delete: 29, get: 30 } as const;

const NDA = { address: 1, mac: 2 } as const;
const PERMANENT = 0x80;
const HEADER = 12; // family, pads, ifindex, state, flags, type

export interface Neighbour {
  ifindex: number;
  family: Family;
  address: string;
  /** Empty while it is not resolved. */
  mac: string;
  permanent: boolean;
}

function header(af: number, ifindex: number, state: number): Buffer {
  const head = Buffer.alloc(HEADER);
  head[0] = af;
  head.writeInt32LE(ifindex, 4);
  head.writeUInt16LE(state, 8);
  return head;
}

export function encodeNeighbour(neighbour: { ifindex: number; address: string; mac?: string }): Buffer {
  const { ifindex, address: at, mac } = neighbour;
  const known = given(mac, (value) => bytes(NDA.mac, macBytes(value)));
  const state = mac === undefined ? 0 : PERMANENT;
  return Buffer.concat([header(AF[familyOf(at)], ifindex, state), address(NDA.address, at), known]);
}

export function encodeNeighbourFilter(): Buffer {
  return Buffer.alloc(HEADER);
}

/** Undefined for other families (a bridge's forwarding entries) and for what has no address. */
export function decodeNeighbour(payload: Buffer): Neighbour | undefined {
  if (payload.length < HEADER) return undefined;
  const family = familyFrom(payload.readUInt8());
  const found = decodeAttributes(payload.subarray(HEADER));
  const at = readAddress(found, NDA.address);
  if (family === undefined || at === undefined) return undefined;
  const mac = macText(found.get(NDA.mac) ?? []);
  const permanent = (payload.readUInt16LE(8) & PERMANENT) !== 0;
  return { ifindex: payload.readInt32LE(4), family, address: at, mac, permanent };
}
