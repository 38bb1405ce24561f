/** Conntrack from user space: listing, and taking out what has ended. */
import { addressBytes } from '../base/index.ts';
import { CtFlag } from '../bpf/index.ts';
import type { CtEntry, CtKey, Maps } from '../bpf/index.ts';

/** Time in the maps is counted in ticks of 2^30 ns since boot. */
const TICK_SHIFT = 30n;
const KEY_HIGH = 16;
const EXPIRES = 0;

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
  generation: number;
}

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
    generation: entry.generation,
  };
}

export class Conntrack {
  readonly #ct: Maps['ct'];
  readonly #nat: Maps['nat'];

  constructor(maps: Pick<Maps, 'ct' | 'nat'>) {
    this.#ct = maps.ct;
    this.#nat = maps.nat;
  }

  /** Live connections. */
  list(): Connection[] {
    const now = tickNow();
    return [...this.#ct.entries()]
      .filter(([, entry]) => entry.expires >= now)
      .map(([key, entry]) => connectionOf(key, entry, now));
  }

  /** Takes out what has expired and everything of `addresses`. */
  sweep(addresses: readonly string[] = []): void {
    const gone = addresses.map(addressBytes);
    const now = tickNow();
    const keys: Buffer[] = [];
    for (const { key, value } of this.#ct.map.entries()) {
      if (value.readUInt32LE(EXPIRES) < now || gone.some((bytes) => isEnd(key, bytes)))
        keys.push(Buffer.from(key));
    }
    if (keys.length > 0) this.#ct.map.deleteBatch(Buffer.concat(keys), keys.length);
    this.#sweepNat(new Set(addresses), now);
  }

  #sweepNat(addresses: ReadonlySet<string>, now: number): void {
    const stale = [...this.#nat.entries()].filter(
      ([, entry]) => entry.expires < now || addresses.has(entry.address),
    );
    this.#nat.deleteAll(stale.map(([key]) => key));
  }
}

function isEnd(key: Buffer, address: Buffer): boolean {
  return address.compare(key, 0, KEY_HIGH) === 0 || address.compare(key, KEY_HIGH, 2 * KEY_HIGH) === 0;
}
