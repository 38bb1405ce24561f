/** The ways out of the host: which devices they are, which address masquerading uses, followed when either changes. */
import type { Log } from '../base/index.ts';
import type { DatapathObject } from '../bpf/index.ts';
import { detachClsact } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';
import { uplinksOf } from './uplink-choice.ts';
import type { Uplink } from './uplink-choice.ts';

export interface UplinkOptions {
  netlink: Pick<Netlink, 'links' | 'addresses' | 'routes'>;
  object: Pick<DatapathObject, 'attach' | 'detach' | 'rename' | 'attached' | 'maps'>;
  /** Whether the kernel has tcx; without it the program is a filter. */
  tcx: boolean;
  log: Log;
  /** Names of the uplinks; empty: found. */
  names: string[];
}

const NONE = { ip4: '0.0.0.0', ip6: '::' };
const ENDPOINT_DEVICE = /^weir\d+$/;

export class Uplinks {
  readonly #options: UplinkOptions;
  #current: Uplink[] = [];
  #isFirst = true;

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  get current(): readonly Uplink[] {
    return this.#current;
  }

  /** Looks again, and tells the datapath what changed. Cheap when nothing did. Not to run twice at once. */
  async refresh(): Promise<void> {
    const { netlink, names } = this.#options;
    const host = { links: netlink.links(), addresses: netlink.addresses(), routes: netlink.routes() };
    const found = uplinksOf(host, names);
    // a name may be another device's by now, so what was under it goes first
    for (const uplink of this.#current)
      if (!found.some((item) => item.ifindex === uplink.ifindex)) await this.#release(uplink);
    if (this.#isFirst) await this.#releaseFormer(found);
    for (const uplink of found) {
      const old = this.#current.find((item) => item.ifindex === uplink.ifindex);
      if (old === undefined || !isSame(old, uplink)) await this.#adopt(uplink, old);
    }
    this.#current = found;
    this.#isFirst = false;
    this.#setDefault(found[0]?.ifindex ?? 0);
  }

  async #adopt(uplink: Uplink, old: Uplink | undefined): Promise<void> {
    const { object, log } = this.#options;
    if (old === undefined) await object.attach('from_uplink', uplink, 'ingress');
    else if (old.name !== uplink.name) object.rename(old.name, uplink.name);
    const { ifindex, name, ipv4, ipv6 } = uplink;
    object.maps.uplink.set(ifindex, { ip4: ipv4 ?? NONE.ip4, ip6: ipv6 ?? NONE.ip6 });
    log.info('uplink', { name, ipv4: ipv4 ?? 'none', ipv6: ipv6 ?? 'none' });
  }

  async #release({ ifindex, name }: Uplink): Promise<void> {
    const { object, log } = this.#options;
    this.#forget(ifindex);
    await object.detach(name);
    this.#current = this.#current.filter((uplink) => uplink.ifindex !== ifindex);
    log.warn('uplink has gone', { name });
  }

  /** What an earlier process called uplinks and this one does not. */
  async #releaseFormer(found: Uplink[]): Promise<void> {
    const { object } = this.#options;
    for (const [ifindex] of [...object.maps.uplink.entries()])
      if (!found.some((item) => item.ifindex === ifindex)) this.#forget(ifindex);
    const names = object.attached().filter((name) => !ENDPOINT_DEVICE.test(name));
    for (const name of names) if (!found.some((item) => item.name === name)) await object.detach(name);
  }

  #forget(ifindex: number): void {
    const { object, tcx } = this.#options;
    object.maps.uplink.delete(ifindex);
    if (!tcx) detachClsact(ifindex, 'ingress');
  }

  #setDefault(ifindex: number): void {
    const { config } = this.#options.object.maps;
    const current = config.get(0);
    if (current !== undefined && current.uplink !== ifindex) config.set(0, { ...current, uplink: ifindex });
  }
}

function isSame(a: Uplink, b: Uplink): boolean {
  return a.name === b.name && a.ipv4 === b.ipv4 && a.ipv6 === b.ipv6;
}
