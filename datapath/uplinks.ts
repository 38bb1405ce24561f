/** The ways out of the host: which devices they are, which address masquerading uses, followed when either changes. */
import type { Log } from '../base/index.ts';
import type { DatapathObject } from '../bpf/index.ts';
import type { InterfaceAddress, Link, Netlink } from '../kernel/index.ts';
import { HOST_DEVICE } from './host-device.ts';

export interface UplinkOptions {
  netlink: Netlink;
  object: DatapathObject;
  log: Log;
  /** Names of the uplinks; empty: the device of the default route, or the only one that leads anywhere. */
  names: string[];
}

export interface Uplink {
  ifindex: number;
  name: string;
  mtu: number;
  address?: string;
}

const NONE = '::';

/** Devices made by container engines and by weir never lead out. */
function leadsOut(link: Link): boolean {
  return (
    link.up &&
    !link.loopback &&
    link.kind !== 'bridge' &&
    link.master === undefined &&
    !link.name.startsWith('weir')
  );
}

function addressOf(ifindex: number, addresses: InterfaceAddress[]): string | undefined {
  return addresses.find((item) => item.ifindex === ifindex && item.family === 4 && item.scope === 'global')
    ?.address;
}

export class Uplinks {
  readonly #options: UplinkOptions;
  #current: Uplink[] = [];

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  get current(): readonly Uplink[] {
    return this.#current;
  }

  /** Looks again, and tells the datapath what changed. Cheap when nothing did. */
  async refresh(): Promise<void> {
    const found = this.#find();
    const before = new Map(this.#current.map((uplink) => [uplink.ifindex, uplink]));
    for (const uplink of found) {
      const old = before.get(uplink.ifindex);
      before.delete(uplink.ifindex);
      if (old?.address === uplink.address && old?.name === uplink.name) continue;
      await this.#adopt(uplink, old);
    }
    for (const gone of before.values()) await this.#release(gone);
    const { uplink } = this.#options.object.maps;
    for (const [ifindex] of [...uplink.entries()])
      if (!found.some((item) => item.ifindex === ifindex)) uplink.delete(ifindex);
    this.#current = found;
    this.#setDefault(found[0]?.ifindex ?? 0);
  }

  async #adopt(uplink: Uplink, old: Uplink | undefined): Promise<void> {
    const { object, log } = this.#options;
    if (old === undefined) await object.attach('from_uplink', uplink, 'ingress');
    object.maps.uplink.set(uplink.ifindex, { ip4: uplink.address ?? NONE, ip6: NONE });
    log.info('uplink', { name: uplink.name, address: uplink.address ?? 'none' });
  }

  async #release(uplink: Uplink): Promise<void> {
    this.#options.object.maps.uplink.delete(uplink.ifindex);
    await this.#options.object.detach(uplink.name);
    this.#options.log.warn('uplink has gone', { name: uplink.name });
  }

  #setDefault(ifindex: number): void {
    const { config } = this.#options.object.maps;
    const current = config.get(0);
    if (current !== undefined && current.uplink !== ifindex) config.set(0, { ...current, uplink: ifindex });
  }

  #find(): Uplink[] {
    const { netlink, names } = this.#options;
    const links = netlink.links();
    const addresses = netlink.addresses();
    return this.#choose(links, addresses, names).map((link) => {
      const address = addressOf(link.index, addresses);
      return {
        ifindex: link.index,
        name: link.name,
        mtu: link.mtu,
        ...(address === undefined ? {} : { address }),
      };
    });
  }

  #choose(links: Link[], addresses: InterfaceAddress[], names: string[]): Link[] {
    if (names.length > 0) return links.filter((link) => names.includes(link.name));
    const way = this.#options.netlink
      .routes()
      .find((route) => route.destination === '0.0.0.0/0' && route.table === 254);
    const candidates = links.filter(
      (link) => leadsOut(link) && link.name !== HOST_DEVICE && addressOf(link.index, addresses),
    );
    const byRoute = links.filter((link) => link.index === way?.ifindex);
    if (byRoute.length > 0) return byRoute;
    return candidates.length === 1 ? candidates : [];
  }
}
