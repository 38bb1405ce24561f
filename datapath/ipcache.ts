/** Who is behind addresses that are no endpoint of this host: desired prefixes, and the map kept equal to them. */
import { cidrContains, familyOf, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import { IpcacheFlag } from '../bpf/index.ts';
import type { IpcacheEntry, IpcacheKey, Maps } from '../bpf/index.ts';
import { isCidrIdentity, RESERVED } from '../identity/index.ts';

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

interface Desired {
  cidr: Cidr;
  identity: number;
  flags: number;
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

function rangesOf({ policy }: IpcacheSources): Map<number, string> {
  return new Map(policy.map(({ cidr, id }) => [id, cidr]));
}

export class Ipcache {
  readonly #map: Maps['ipcache'];
  readonly #parsed = new Map<string, Cidr>();
  /** What is in the map, by canonical prefix. */
  #present = new Map<string, { key: IpcacheKey; entry: IpcacheEntry }>();
  #sources: IpcacheSources;
  #ranges = new Map<number, string>();

  constructor(map: Maps['ipcache']) {
    this.#map = map;
    this.#read();
    this.#sources = { cluster: [], native: [], policy: this.#policyRanges(), host: [] };
    this.#ranges = rangesOf(this.#sources);
  }

  /** At first the policy ranges that an earlier process left in the map, and nothing else. */
  get sources(): IpcacheSources {
    return this.#sources;
  }

  /** The range of policy that a number stands for. */
  rangeOf(identity: number): string | undefined {
    return this.#ranges.get(identity);
  }

  /** Makes the map what the sources say: new and changed entries first, then what nobody asks for goes. */
  update(sources: Partial<IpcacheSources>): void {
    const next = { ...this.#sources, ...sources };
    const desired = this.#desiredOf(next);
    const changes: [IpcacheKey, IpcacheEntry][] = [];
    for (const [text, { cidr, identity, flags }] of desired) {
      const entry = this.#present.get(text)?.entry;
      if (entry?.identity === identity && entry.flags === flags) continue;
      changes.push([keyOf(cidr), { identity, flags, tunnel: '::', spaces: [] }]);
    }
    const stale = [...this.#present].filter(([text]) => !desired.has(text));
    try {
      this.#map.setAll(changes);
      this.#map.deleteAll(stale.map(([, { key }]) => key));
    } catch (error) {
      this.#read();
      throw error;
    }
    this.#sources = next;
    if (sources.policy !== undefined) this.#ranges = rangesOf(next);
    for (const [key, entry] of changes) this.#present.set(textOf(key), { key, entry });
    for (const [text] of stale) {
      this.#present.delete(text);
      this.#parsed.delete(text);
    }
  }

  #read(): void {
    this.#present = new Map([...this.#map.entries()].map(([key, entry]) => [textOf(key), { key, entry }]));
  }

  /** The widest prefix of a number is the range it stands for; others only lie within it. */
  #policyRanges(): IpcacheSources['policy'] {
    const widest = new Map<number, IpcacheKey>();
    for (const { key, entry } of this.#present.values()) {
      const other = widest.get(entry.identity);
      if (isCidrIdentity(entry.identity) && (other === undefined || key.prefixLength < other.prefixLength))
        widest.set(entry.identity, key);
    }
    return [...widest].map(([id, key]) => ({ cidr: textOf(key), id }));
  }

  /** The entries that the sources ask for, by canonical prefix. */
  #desiredOf(sources: IpcacheSources): Map<string, Desired> {
    const parse = (text: string): Cidr => this.#parse(text);
    const ranges = { cluster: sources.cluster.map(parse), native: sources.native.map(parse) };
    const named = sources.policy.map(({ cidr, id }) => ({ range: parse(cidr), id }));
    const desired = new Map<string, Desired>();
    const put = (cidr: Cidr, identity: number, flags = flagsOf(cidr, ranges)): void =>
      void desired.set(cidr.text, { cidr, identity, flags });
    for (const cidr of [...WORLD.map(parse), ...ranges.cluster, ...ranges.native])
      put(cidr, closest(named, cidr));
    for (const { range, id } of named) put(range, id);
    for (const address of sources.host)
      put(parse(`${address}/${familyOf(address) === 4 ? 32 : 128}`), RESERVED.host, 0);
    return desired;
  }

  #parse(text: string): Cidr {
    let cidr = this.#parsed.get(text);
    if (cidr === undefined) this.#parsed.set(text, (cidr = parseCidr(text)));
    return cidr;
  }
}

/** "10.0.0.0/8" for a key of the map. */
export function textOf(key: IpcacheKey): string {
  if (familyOf(key.address) === 4) return `${key.address}/${key.prefixLength - MAPPED_BITS}`;
  return `${key.address}/${key.prefixLength}`;
}
