/** Readers of single settings: text in, value out, or one line that says what would be right. */
import { parseAddress, parseCidr, UserError } from '../base/index.ts';
import { SIZABLE } from '../bpf/index.ts';

/** Length of a host's IPv6 prefix. */
export const NODE_PREFIX6 = 64;

export type Reader<T> = (text: string) => T;

/** What is wrong with a value; `loadConfig` puts the place in front. */
export function invalid(message: string, hint?: string): UserError {
  return new UserError('CONFIG_INVALID', message, hint === undefined ? {} : { hint });
}

/** Empty text is undefined: the setting is left to weir. */
export function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (text) => (text === '' ? undefined : read(text));
}

export function oneOf<const T extends string>(...values: T[]): Reader<T> {
  return (text) => {
    const found = values.find((value) => value === text);
    if (found === undefined) throw invalid(`"${text}" is not one of ${values.join(', ')}`);
    return found;
  };
}

/** A comma-separated list; empty text is no items. */
export function listOf<T>(read: Reader<T>): Reader<T[]> {
  return (text) => (text === '' ? [] : text.split(',').map((item) => read(item.trim())));
}

export function integerIn(least: number, most: number): Reader<number> {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      throw invalid(`"${text}" is not a number from ${least} to ${most}`);
    return value;
  };
}

export const cidr: Reader<string> = (text) => parseCidr(text).text;

export const cidr4: Reader<string> = (text) => {
  const parsed = parseCidr(text);
  if (parsed.family !== 4) throw invalid(`"${text}" is not an IPv4 prefix`);
  return parsed.text;
};

/** Room for at least one node's prefix. */
export const cidr6: Reader<string> = (text) => {
  const parsed = parseCidr(text);
  if (parsed.family !== 6) throw invalid(`"${text}" is not an IPv6 prefix`);
  if (parsed.length > NODE_PREFIX6)
    throw invalid(`"${text}" has no room for the /${NODE_PREFIX6} of a host`, 'a /48 is usual');
  return parsed.text;
};

export const address: Reader<string> = parseAddress;

export const directory: Reader<string> = (text) => {
  if (!text.startsWith('/') || text.includes('\0')) throw invalid(`"${text}" is not an absolute path`);
  return text === '/' ? text : text.replace(/\/+$/, '');
};

/** sockaddr_un holds 108 bytes, the last a zero. */
const SOCKET_PATH_BYTES = 107;

export const socketPath: Reader<string> = (text) => {
  const path = directory(text.replace(/^unix:\/\//, ''));
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES) {
    throw invalid(`"${path}" is too long for a socket: ${SOCKET_PATH_BYTES} bytes at most`);
  }
  return path;
};

export const nodeName: Reader<string> = (text) => {
  if (/^[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$/.test(text)) return text;
  throw invalid(`"${text}" is not a node name: letters, digits, and - . _ between them, 63 at most`);
};

export const interfaceName: Reader<string> = (text) => {
  if (/^[^\s/:]{1,15}$/.test(text) && text !== '.' && text !== '..') return text;
  throw invalid(`"${text}" is not the name of a network device`);
};

/** More than anybody has connections; the kernel allocates most of it at once. */
const MOST_ENTRIES = 1 << 24;
const LEAST_ENTRIES = 256;

/** "ct=131072,policy=262144": how many entries maps have, by the names of the kernel. */
export const mapSizes: Reader<Record<string, number>> = (text) =>
  Object.fromEntries(
    listOf((item): [string, number] => {
      const [name = '', size = ''] = item.split('=');
      if (!SIZABLE.some((known) => known === name))
        throw invalid(`"${name}" is no map with a size: ${SIZABLE.join(', ')}`);
      return [`weir_${name}`, integerIn(LEAST_ENTRIES, MOST_ENTRIES)(size)];
    })(text),
  );

export interface PortRange {
  first: number;
  last: number;
}

export const portRange: Reader<PortRange> = (text) => {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range = { first: Number(first), last: Number(last) };
  if (range.first >= 1024 && range.first <= range.last && range.last <= 65_535) return range;
  throw invalid(`"${text}" is not a port range`, 'write first-last within 1024-65535');
};
