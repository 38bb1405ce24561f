/** Conntrack from user space: listing, and taking out what has ended, in slices that hold nothing else up. */
import { setImmediate } from 'node:timers/promises';
import { addressFromBytes } from '../base/index.ts';
import { CtFlag, ctEntrySize, decodeCtEntry, encodeCtEntry, encodeNatEntry } from '../bpf/index.ts';
import type { CtEntry, CtKey, Maps } from '../bpf/index.ts';
import type { BpfMap } from '../kernel/index.ts';

/** Time in the maps is counted in ticks of 2^30 ns since boot. */
const TICK_SHIFT = 30n;
/** Entries looked at before others get their turn. */
const SLICE = 1024;
const ADDRESS_BYTES = 16;
/** Where in the bytes of an entry its expiry is, as the codecs have it: a walk decodes nothing else. */
const CT_EXPIRES = encodeCtEntry({ ...decodeCtEntry(Buffer.alloc(ctEntrySize)), expires: 1 }).indexOf(1);
const NAT_EXPIRES = encodeNatEntry({ address: '::', port: 0, expires: 1 }).indexOf(1);

export interface Connection {
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  protocol: number;
  sourceIdentity: number;
  destinationIdentity: number;
  expiresSeconds: number;
  replied: boolean;
  closing: boolean;
  /** It came in by a published port. */
  published: boolean;
  /** Type of an ICMP message that is no echo; 0 for everything else. */
  message: number;
  generation: number;
}

/** Whether the connections of an address have ended. */
export type IsGone = (address: string) => boolean;

export function tickNow(): number {
  return Number(process.hrtime.bigint() >> TICK_SHIFT);
}

function connectionOf(key: CtKey, entry: CtEntry, now: number): Connection {
  const highAsked = (entry.flags & CtFlag.CT_HIGH_ASKED) !== 0;
  const low = { address: key.low, port: key.lowPort };
  const high = { address: key.high, port: key.highPort };
  const [from, to] = highAsked ? [high, low] : [low, high];
  const over = CtFlag.CT_RESET | CtFlag.CT_FIN_ASKER | CtFlag.CT_FIN_ANSWERER;
  return {
    source: from.address,
    sourcePort: from.port,
    destination: to.address,
    destinationPort: to.port,
    protocol: key.protocol,
    sourceIdentity: entry.sourceIdentity,
    destinationIdentity: entry.destinationIdentity,
    expiresSeconds: Math.round(((entry.expires - now) * 2 ** 30) / 1e9),
    replied: (entry.flags & CtFlag.CT_REPLIED) !== 0,
    closing: (entry.flags & over) !== 0,
    published: (entry.flags & CtFlag.CT_SERVICE) !== 0,
    message: key.message,
    generation: entry.generation,
  };
}

/** Answers once per address, from its bytes. */
function byBytes(isGone: IsGone): (bytes: Buffer, at: number) => boolean {
  const known = new Map<string, boolean>();
  return (bytes, at) => {
    const name = bytes.toString('latin1', at, at + ADDRESS_BYTES);
    let gone = known.get(name);
    if (gone === undefined) known.set(name, (gone = isGone(addressFromBytes(bytes, at))));
    return gone;
  };
}

export class Conntrack {
  readonly #ct: Maps['ct'];
  readonly #nat: Maps['nat'];
  #isClosed = false;

  constructor(maps: Pick<Maps, 'ct' | 'nat'>) {
    this.#ct = maps.ct;
    this.#nat = maps.nat;
  }

  /** Live connections. */
  async list(): Promise<Connection[]> {
    const now = tickNow();
    const live: Connection[] = [];
    for await (const slice of this.#slices(this.#ct.entries()))
      for (const [key, entry] of slice) if (entry.expires >= now) live.push(connectionOf(key, entry, now));
    return live;
  }

  /** Takes out what has expired and everything of addresses that have gone. */
  async sweep(isGone: IsGone = () => false): Promise<void> {
    const now = tickNow();
    const gone = byBytes(isGone);
    await this.#sweep(
      this.#nat.map,
      (_key, value) => value.readUInt32LE(NAT_EXPIRES) < now || gone(value, 0),
    );
    await this.#sweep(
      this.#ct.map,
      (key, value) => value.readUInt32LE(CT_EXPIRES) < now || gone(key, 0) || gone(key, ADDRESS_BYTES),
    );
  }

  /** Touches the maps no more: what goes on ends early. */
  close(): void {
    this.#isClosed = true;
  }

  async #sweep(map: BpfMap, isOver: (key: Buffer, value: Buffer) => boolean): Promise<void> {
    for await (const slice of this.#slices(map.entries())) {
      const keys = slice.filter(({ key, value }) => isOver(key, value)).map(({ key }) => key);
      map.deleteBatch(Buffer.concat(keys), keys.length);
    }
  }

  /** Slices of a walk; between them whatever waits gets its turn. */
  async *#slices<T>(items: Iterable<T>): AsyncGenerator<T[]> {
    let slice: T[] = [];
    for (const item of items) {
      slice.push(item);
      if (slice.length < SLICE) continue;
      yield slice;
      slice = [];
      await setImmediate();
      if (this.#isClosed) return;
    }
    yield slice;
  }
}
