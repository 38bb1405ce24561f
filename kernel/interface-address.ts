/** Addresses of interfaces in rtnetlink's form (struct ifaddrmsg and IFA_*). Pure. */
import { parseAddress, UserError } from '../base/index.ts';
import type { Family } from '../base/index.ts';
import { address, decodeAttributes, readAddress, readU32, u32 } from './netlink-attribute.ts';

export const RTM_ADDRESS = { create: 20, delete: 21, get: 22 } as const;

const IFA = { address: 1, local: 2, flags: 8 } as const;
/** What keeps an IPv6 address from being a source, for now or for good (IFA_F_*). */
const STATE = { temporary: 0x1, failed: 0x8, deprecated: 0x20, tentative: 0x40 } as const;
const NO_DUPLICATE_DETECTION = 0x2;
const NO_PREFIX_ROUTE = 0x200;

/** How far an address or a route reaches (RT_SCOPE_*). */
export const SCOPE = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;
export type Scope = keyof typeof SCOPE;

export const AF = { 4: 2, 6: 10 } as const;

export function familyFrom(af: number): Family | undefined {
  return af === AF[4] ? 4 : af === AF[6] ? 6 : undefined;
}

export function scopeFrom(value: number): Scope {
  const found = Object.entries(SCOPE).find(([, number]) => number === value);
  return (found?.[0] ?? 'global') as Scope;
}

export interface InterfaceAddress {
  ifindex: number;
  family: Family;
  address: string;
  /** Prefix length. */
  length: number;
  scope: Scope;
  /** Changes every day, for privacy. */
  temporary: boolean;
  /** Checked to be nobody else's, and not about to go. */
  usable: boolean;
}

export interface AddressOptions {
  scope?: Scope;
  /** Keeps the kernel from adding a route to the prefix. */
  noPrefixRoute?: boolean;
}

/** Address and length of "10.210.0.1/24"; unlike a CIDR it has host bits. */
export function splitPrefix(prefix: string): { address: string; length: number; family: Family } {
  const [base = '', digits, ...rest] = prefix.split('/');
  const parsed = parseAddress(base);
  const family = parsed.includes(':') ? 6 : 4;
  const most = family === 4 ? 32 : 128;
  const length = digits === undefined ? most : Number(digits);
  if (rest.length > 0 || digits === '' || !Number.isInteger(length) || length < 0 || length > most) {
    throw new UserError('BAD_ADDRESS', `"${prefix}" is not an address with a prefix length`);
  }
  return { address: parsed, length, family };
}

export function encodeAddress(ifindex: number, prefix: string, options: AddressOptions = {}): Buffer {
  const { address: own, length, family } = splitPrefix(prefix);
  const head = Buffer.alloc(8); // family, prefix length, flags, scope, index
  head.set([AF[family], length, 0, SCOPE[options.scope ?? 'global']]);
  head.writeUInt32LE(ifindex, 4);
  // Duplicate detection would keep an IPv6 address tentative for a second.
  const flags =
    (family === 6 ? NO_DUPLICATE_DETECTION : 0) | (options.noPrefixRoute === true ? NO_PREFIX_ROUTE : 0);
  return Buffer.concat([head, address(IFA.local, own), address(IFA.address, own), u32(IFA.flags, flags)]);
}

/** For a dump or a deletion, which name no options. */
export function encodeAddressHeader(): Buffer {
  return Buffer.alloc(8);
}

/** Undefined for other families and for what is no address. */
export function decodeAddress(payload: Buffer): InterfaceAddress | undefined {
  if (payload.length < 8) return undefined;
  const [af = 0, length = 0, shortFlags = 0, scope = 0] = payload;
  const found = decodeAttributes(payload.subarray(8));
  const own = readAddress(found, IFA.local) ?? readAddress(found, IFA.address); // of a point-to-point link, ours
  const family = familyFrom(af);
  if (own === undefined || family === undefined) return undefined;
  const flags = readU32(found, IFA.flags) ?? shortFlags;
  // of an IPv4 address the same bit means a secondary one
  const state = family === 6 ? flags : 0;
  return {
    ...{ ifindex: payload.readUInt32LE(4), family, address: own, length, scope: scopeFrom(scope) },
    temporary: (state & STATE.temporary) !== 0,
    usable: (state & (STATE.failed | STATE.deprecated | STATE.tentative)) === 0,
  };
}
