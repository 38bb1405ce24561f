/**
 * Addresses and CIDRs of both families. An address travels as its canonical text ("10.210.0.5", "fd00::5");
 * maps hold it as 16 bytes, IPv4 mapped into ::ffff:0:0/96 (RFC 4291 §2.5.5.2), so one key serves both families.
 */
import ipaddr from 'ipaddr.js';
import { Netmask } from 'netmask';
import { UserError } from './errors.ts';

export type Family = 4 | 6;

/** A network prefix; `address` is its first address, `text` its canonical form. */
export interface Cidr {
  family: Family;
  address: string;
  length: number;
  text: string;
}

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Canonical text of an address, or undefined. Refuses short, octal and hex forms ("10.1", "010.0.0.1"), zones, and "::10.0.0.1", which the parser takes for a mapped one. */
export function tryAddress(text: string): string | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text))
    return text.split('.').some((p) => p.length > 1 && p.startsWith('0')) ? undefined : text;
  if (!text.includes(':') || /%|^::\d+\./.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  return new ipaddr.IPv6(ipaddr.IPv6.parse(text).parts).toRFC5952String();
}

/** Canonical text of an address; throws UserError BAD_ADDRESS. */
export function parseAddress(text: string): string {
  const address = tryAddress(text);
  if (address === undefined) throw new UserError('BAD_ADDRESS', `"${text}" is not an IP address`);
  return address;
}

export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** 16 bytes, network order, IPv4 mapped. */
export function addressBytes(address: string): Buffer {
  const bytes = Buffer.from(ipaddr.parse(address).toByteArray());
  return bytes.length === 16 ? bytes : Buffer.concat([MAPPED, bytes]);
}

/** The inverse of `addressBytes`, reading 16 bytes at `offset`. */
export function addressFromBytes(bytes: Uint8Array, offset = 0): string {
  const part = bytes.subarray(offset, offset + 16);
  if (MAPPED.equals(part.subarray(0, 12))) return part.subarray(12).join('.');
  return new ipaddr.IPv6([...part]).toRFC5952String();
}

function mask(bytes: Buffer, length: number): Buffer {
  return Buffer.from(
    bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff),
  );
}

function textOf(bytes: Buffer): string {
  return addressFromBytes(bytes.length === 16 ? bytes : Buffer.concat([MAPPED, bytes]));
}

/** A CIDR; a bare address is a host prefix. Throws UserError BAD_CIDR, with the masked form where host bits are set. */
export function parseCidr(text: string): Cidr {
  const bad = (why: string): UserError => new UserError('BAD_CIDR', `"${text}" is not a CIDR: ${why}`);
  const parts = text.split('/');
  const base = tryAddress(parts[0] ?? '');
  if (base === undefined || parts.length > 2) throw bad('write address/length, as in 10.0.0.0/8');
  const family = familyOf(base);
  const most = addressBits(family);
  const digits = parts[1] ?? String(most);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > most)
    throw bad(`the length goes from 0 to ${most}`);
  const length = Number(digits);
  const bytes = Buffer.from(ipaddr.parse(base).toByteArray());
  const first = textOf(mask(bytes, length));
  if (first !== base)
    throw new UserError('BAD_CIDR', `"${text}" has host bits set`, { hint: `write ${first}/${length}` });
  return { family, address: base, length, text: `${base}/${length}` };
}

/** Whether every address of `inner` (a CIDR or an address) is in `outer`. Families never mix. */
export function cidrContains(outer: Cidr, inner: Cidr | string): boolean {
  const other = typeof inner === 'string' ? parseCidr(inner) : inner;
  if (outer.family !== other.family || other.length < outer.length) return false;
  const bytes = Buffer.from(ipaddr.parse(other.address).toByteArray());
  return textOf(mask(bytes, outer.length)) === outer.address;
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, b) || cidrContains(b, a);
}

/** Bits of an address of the family. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Number of addresses in a CIDR, the first and the last included. */
export function cidrSize(cidr: Cidr): bigint {
  return cidr.family === 4 ? BigInt(new Netmask(cidr.text).size) : 1n << BigInt(128 - cidr.length);
}

/** The 16 bytes of an address as one number, so that addresses of both families are counted alike. */
export function addressNumber(address: string): bigint {
  return BigInt(`0x${addressBytes(address).toString('hex')}`);
}

/** The inverse of `addressNumber`. */
export function addressFromNumber(number: bigint): string {
  return addressFromBytes(Buffer.from(number.toString(16).padStart(32, '0'), 'hex'));
}

/** The prefix of a length that an address lies in. */
export function prefixAround(address: string, length: number): Cidr {
  const host = BigInt(addressBits(familyOf(address)) - length);
  return parseCidr(`${addressFromNumber((addressNumber(address) >> host) << host)}/${length}`);
}
