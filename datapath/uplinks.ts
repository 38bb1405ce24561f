/**
 * The ways out of the host: which devices they are, which address masquerading uses, followed when either changes. Bridges
 * of the host are ways in only: what asks there for a published port is answered there, and nothing leaves by them.
 */
import type { Log } from '../base/index.ts';
import type { DatapathObject } from '../bpf/index.ts';
import { detachClsact, KernelError } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';
import { bridgesOf, uplinksOf } from './uplink-choice.ts';
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
  /** Those and the bridges: every device with the program. */
  readonly #devices = new Map<number, Uplink>();
  #isFirst = true;

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  /** The ways out, the first one by default. */
  get current(): readonly Uplink[] {
    return this.#current;
  }

  /**
   * Looks again, and tells the datapath what changed. Cheap when nothing did. A device that fails keeps no other waiting:
   * it is thrown when all have had their turn. Not to run twice at once.
   */
  async refresh(): Promise<void> {
    const { netlink, names } = this.#options;
    const host = { links: netlink.links(), addresses: netlink.addresses(), routes: netlink.routes() };
    const uplinks = uplinksOf(host, names);
    const bridges = bridgesOf(host).filter((bridge) => !has(uplinks, bridge));
    const found = [...uplinks, ...bridges];
    const turns = new Turns();
    // a name may be another device's by now, so what was under it goes first
    for (const device of this.#devices.values())
      if (!has(found, device)) await turns.take(() => this.#release(device));
    if (this.#isFirst) await turns.take(() => this.#releaseFormer(found));
    await turns.take(() => this.#rename(found));
    for (const uplink of uplinks) await turns.take(() => this.#adopt(uplink, 'uplink'));
    this.#current = uplinks.filter(({ ifindex }) => this.#devices.has(ifindex));
    this.#setDefault(this.#current[0]?.ifindex ?? 0);
    for (const bridge of bridges) await turns.take(() => this.#adopt(bridge, 'bridge'));
    turns.end();
  }

  async #adopt(device: Uplink, what: 'uplink' | 'bridge'): Promise<void> {
    const { object, log } = this.#options;
    const program = device.framed ? 'from_uplink' : 'from_tunnel';
    const { ifindex, name, ipv4, ipv6 } = device;
    const old = this.#devices.get(ifindex);
    if (old !== undefined && isSame(old, device)) return;
    if (old === undefined) await object.attach(program, device, 'ingress');
    object.maps.uplink.set(ifindex, { ip4: ipv4 ?? NONE.ip4, ip6: ipv6 ?? NONE.ip6 });
    this.#devices.set(ifindex, device);
    log.info(what, { name, ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) });
  }

  /** By way of names that no device can have: two may have changed theirs. */
  #rename(found: Uplink[]): void {
    const { object } = this.#options;
    const renamed = found.flatMap(({ ifindex, name }) => {
      const old = this.#devices.get(ifindex);
      return old === undefined || old.name === name ? [] : [{ old, name }];
    });
    const between = ({ ifindex }: Uplink): string => `renamed ${ifindex}`;
    for (const { old } of renamed) object.rename(old.name, between(old));
    for (const { old, name } of renamed) {
      object.rename(between(old), name);
      this.#devices.set(old.ifindex, { ...old, name });
    }
  }

  async #release(device: Uplink): Promise<void> {
    const { object, log } = this.#options;
    const { ifindex, name } = device;
    this.#forget(ifindex);
    await object.detach(name);
    this.#devices.delete(ifindex);
    if (!has(this.#current, device)) return;
    this.#current = this.#current.filter((uplink) => uplink.ifindex !== ifindex);
    log.warn('uplink has gone', { name });
  }

  /** What an earlier process called uplinks and this one does not. */
  async #releaseFormer(found: Uplink[]): Promise<void> {
    const { object } = this.#options;
    for (const [ifindex] of [...object.maps.uplink.entries()])
      if (!has(found, { ifindex })) this.#forget(ifindex);
    const names = object.attached().filter((name) => !ENDPOINT_DEVICE.test(name));
    for (const name of names) if (!found.some((item) => item.name === name)) await object.detach(name);
    this.#isFirst = false;
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

/** What is done for several devices: one that fails keeps no other waiting, and one that has just gone does not fail. */
class Turns {
  readonly #errors: unknown[] = [];

  async take(task: () => void | Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === 'ENODEV')) this.#errors.push(error);
    }
  }

  /** Throws the first failure. */
  end(): void {
    if (this.#errors.length > 0) throw this.#errors[0];
  }
}

function has(devices: readonly Uplink[], { ifindex }: Pick<Uplink, 'ifindex'>): boolean {
  return devices.some((device) => device.ifindex === ifindex);
}

function isSame(a: Uplink, b: Uplink): boolean {
  return a.name === b.name && a.ipv4 === b.ipv4 && a.ipv6 === b.ipv6;
}
