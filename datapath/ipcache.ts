/** Who is behind addresses that are no endpoint of this host: desired prefixes, and the map kept equal to them. */
import { cidrContains, familyOf, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import { IpcacheFlag } from '../bpf/index.ts';
import type { IpcacheEntry, IpcacheKey, Maps } from '../bpf/index.ts';
import { RESERVED } from '../identity/index.ts';

/** IPv4 prefixes are mapped into ::ffff:0:0/96. */
const MAPPED_BITS = 96;
/** Every IPv4 address has an answer of its own family, so that ::/0 never speaks for it. */
const WORLD = ['0.0.0.0/0', '::/0'];

/** Where the prefixes come from; a later source wins over an earlier one for the same prefix. */
export interface IpcacheSources {
  /** Inside the cluster: reachable only as an endpoint. */
  cluster: string[];
  /** Outside, but reached without masquerading. */
  native: string[];
  /** Address ranges that policy names. */
  policy: { cidr: string; id: number }[];
  /** The host's own addresses. */
  host: string[];
}

function keyOf(cidr: Cidr): IpcacheKey {
  return { prefixLength: cidr.family === 4 ? MAPPED_BITS + cidr.length : cidr.length, address: cidr.address };
}

function flagsOf(cidr: Cidr, sources: { cluster: Cidr[]; native: Cidr[] }): number {
  const inside = (ranges: Cidr[]): boolean => ranges.some((range) => cidrContains(range, cidr));
  return (
    (inside(sources.cluster) ? IpcacheFlag.IPCACHE_UNROUTABLE : 0) |
    (inside(sources.native) ? IpcacheFlag.IPCACHE_NATIVE : 0)
  );
}

/** The longest match hides what lies around it, so a prefix must carry the number of the range it is in. */
function closest(named: { range: Cidr; id: number }[], cidr: Cidr): number {
  const around = named.filter(({ range }) => cidrContains(range, cidr));
  return around.sort((a, b) => b.range.length - a.range.length)[0]?.id ?? RESERVED.world;
}

/** The entries that the sources ask for, by canonical prefix. */
function desiredOf(sources: IpcacheSources): Map<string, { cidr: Cidr; identity: number; flags: number }> {
  const ranges = { cluster: sources.cluster.map(parseCidr), native: sources.native.map(parseCidr) };
  const desired = new Map<string, { cidr: Cidr; identity: number; flags: number }>();
  const put = (text: string, identity: number, flags?: number): void => {
    const cidr = parseCidr(text);
    desired.set(cidr.text, { cidr, identity, flags: flags ?? flagsOf(cidr, ranges) });
  };
  const named = sources.policy.map(({ cidr, id }) => ({ range: parseCidr(cidr), id }));
  for (const text of [...WORLD, ...sources.cluster, ...sources.native])
    put(text, closest(named, parseCidr(text)));
  for (const { cidr, id } of sources.policy) put(cidr, id);
  for (const address of sources.host)
    put(`${address}/${familyOf(address) === 4 ? 32 : 128}`, RESERVED.host, 0);
  return desired;
}

export class Ipcache {
  readonly #map: Maps['ipcache'];
  #sources: IpcacheSources = { cluster: [], native: [], policy: [], host: [] };

  constructor(map: Maps['ipcache']) {
    this.#map = map;
  }

  get sources(): IpcacheSources {
    return this.#sources;
  }

  /** Address ranges of policy that an earlier process left in the map, with their numbers. */
  policyRanges(): { cidr: string; id: number }[] {
    return [...this.#map.entries()]
      .filter(([, entry]) => entry.identity > 0xffffff)
      .map(([key, entry]) => ({ cidr: textOf(key), id: entry.identity }));
  }

  /** Makes the map what the sources say: new and changed entries first, then what nobody asks for goes. */
  update(sources: Partial<IpcacheSources>): void {
    this.#sources = { ...this.#sources, ...sources };
    const desired = desiredOf(this.#sources);
    const stale: IpcacheKey[] = [];
    const present = new Map<string, IpcacheEntry>();
    for (const [key, entry] of this.#map.entries()) {
      if (desired.has(textOf(key))) present.set(textOf(key), entry);
      else stale.push(key);
    }
    for (const [text, { cidr, identity, flags }] of desired) {
      const entry = present.get(text);
      if (entry?.identity === identity && entry.flags === flags) continue;
      this.#map.set(keyOf(cidr), { identity, flags, tunnel: '::', spaces: [] });
    }
    this.#map.deleteAll(stale);
  }
}

/** "10.0.0.0/8" for a key of the map. */
export function textOf(key: IpcacheKey): string {
  const family = familyOf(key.address);
  if (key.address === '0.0.0.0' || family === 4) return `${key.address}/${key.prefixLength - MAPPED_BITS}`;
  return `${key.address}/${key.prefixLength}`;
}
