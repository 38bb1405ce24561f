/**
 * Netlink attributes: {u16 length, u16 type, value, padding to 4}, numbers in host order, addresses as on the wire.
 * Pure; the other half of the codec is netlink-message.ts.
 */
import { addressBytes, addressFromBytes, BugError } from '../base/index.ts';

const HEADER = 4;
const NESTED = 0x8000;
/** The two top bits of a type are flags. */
const TYPE = 0x3fff;

export type Attributes = Map<number, Buffer>;

function padded(length: number): number {
  return (length + 3) & ~3;
}

export function bytes(type: number, value: Uint8Array): Buffer {
  const attribute = Buffer.alloc(padded(HEADER + value.length));
  attribute.writeUInt16LE(HEADER + value.length, 0);
  attribute.writeUInt16LE(type, 2);
  attribute.set(value, HEADER);
  return attribute;
}

export function u8(type: number, value: number): Buffer {
  return bytes(type, Buffer.of(value));
}

export function u32(type: number, value: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  return bytes(type, word);
}

/** A NUL-terminated string. */
export function text(type: number, value: string): Buffer {
  return bytes(type, Buffer.from(`${value}\0`));
}

export function nested(type: number, ...inner: Buffer[]): Buffer {
  return bytes(type | NESTED, Buffer.concat(inner));
}

/** 4 or 16 bytes, as a route or a neighbour carries it. */
export function address(type: number, value: string): Buffer {
  return bytes(type, rawAddress(value));
}

/** An attribute for what is given, nothing for what is left out. */
export function given<T>(value: T | undefined, encode: (value: T) => Buffer): Buffer {
  return value === undefined ? Buffer.alloc(0) : encode(value);
}

/** Keys that lead to something; the inverse of `given` for what is decoded. */
export function whole<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Attributes by type; of a repeated one, the first. Stops at the first that does not fit, as the kernel's parser does. */
export function decodeAttributes(payload: Buffer): Attributes {
  const found: Attributes = new Map();
  for (let at = 0; at + HEADER <= payload.length;) {
    const length = payload.readUInt16LE(at);
    if (length < HEADER || at + length > payload.length) break;
    const type = payload.readUInt16LE(at + 2) & TYPE;
    if (!found.has(type)) found.set(type, payload.subarray(at + HEADER, at + length));
    at += padded(length);
  }
  return found;
}

export function readU32(found: Attributes, type: number): number | undefined {
  const value = found.get(type);
  return value !== undefined && value.length >= 4 ? value.readUInt32LE() : undefined;
}

export function readText(found: Attributes, type: number): string | undefined {
  return found.get(type)?.toString('utf8').replace(/\0.*$/s, '');
}

export function readAddress(found: Attributes, type: number): string | undefined {
  const value = found.get(type);
  return value !== undefined && (value.length === 4 || value.length === 16) ? addressText(value) : undefined;
}

export function readNested(found: Attributes, type: number): Attributes {
  return decodeAttributes(found.get(type) ?? Buffer.alloc(0));
}

export function rawAddress(value: string): Buffer {
  const mapped = addressBytes(value);
  return value.includes(':') ? mapped : mapped.subarray(12);
}

/** Text of 4 or 16 bytes. */
export function addressText(value: Uint8Array): string {
  return value.length === 4 ? value.join('.') : addressFromBytes(value);
}

/** Six bytes of "02:42:0a:00:00:01". */
export function macBytes(mac: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new BugError(`"${mac}" is not a MAC address`);
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function macText(value: ArrayLike<number>): string {
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
