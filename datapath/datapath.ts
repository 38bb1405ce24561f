/** The datapath of this host, whole: device, uplinks, endpoints, policy, conntrack, from one set of options. */
import { cidrContains, parseCidr } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { DatapathObject, TraceLevel } from '../bpf/index.ts';
import { CidrIdentities, RESERVED } from '../identity/index.ts';
import { hasFeature, Netlink } from '../kernel/index.ts';
import type { PolicyContext } from '../policy/index.ts';
import { Conntrack } from './conntrack.ts';
import { EndpointTable } from './endpoint-table.ts';
import type { Attachment, EndpointSpec, Owner } from './endpoint-table.ts';
import { Enforcement } from './enforcement.ts';
import { HOST_DEVICE, reservePorts, setUpHost } from './host-device.ts';
import type { PortRange } from './host-device.ts';
import { Ipcache } from './ipcache.ts';
import { PolicyMap } from './policy-map.ts';
import { Uplinks } from './uplinks.ts';

export interface DatapathOptions {
  bpffs: string;
  log: Log;
  /** Names of the uplinks; empty: found. */
  uplinks: string[];
  masqueradePorts: PortRange;
  /** Addresses of the cluster and of its networks: reachable only as an endpoint. Asked again when endpoints come. */
  clusterCidrs: () => string[];
  nativeCidrs: string[];
  /** weir's own address on this host. */
  nodeAddress: string;
  context: PolicyContext;
  /** Labels of an identity that an endpoint is given. */
  labelsOf: (identity: number) => string[];
}

const DEFAULT_MTU = 1500;
const SWEEP_MS = 30_000;
const SETTLE_MS = 200;

/** Owns the loaded object and a netlink socket. Closing it, or dying, leaves traffic running. */
export class Datapath {
  readonly object: DatapathObject;
  readonly endpoints: EndpointTable;
  readonly enforcement: Enforcement;
  readonly policyMap: PolicyMap;
  readonly ipcache: Ipcache;
  readonly conntrack: Conntrack;
  readonly uplinks: Uplinks;
  readonly #options: DatapathOptions;
  readonly #netlink: Netlink;
  readonly #gone = new Set<string>();
  #watch: Disposable | undefined;
  #settling: NodeJS.Timeout | undefined;
  #sweeping: NodeJS.Timeout | undefined;
  #lastSweep = Date.now();

  constructor(options: DatapathOptions) {
    this.#options = options;
    this.#netlink = Netlink.open();
    this.object = new DatapathObject({ bpffs: options.bpffs, tcx: hasFeature('tcx') });
    const { maps } = this.object;
    const netlink = this.#netlink;
    this.#configure();
    this.policyMap = new PolicyMap(maps);
    this.ipcache = new Ipcache(maps.ipcache);
    const cidrs = new CidrIdentities(this.ipcache.policyRanges());
    this.enforcement = new Enforcement({
      policyMap: this.policyMap,
      ipcache: this.ipcache,
      cidrs,
      context: options.context,
    });
    this.conntrack = new Conntrack(maps);
    this.uplinks = new Uplinks({ netlink, object: this.object, log: options.log, names: options.uplinks });
    this.endpoints = new EndpointTable({
      netlink,
      object: this.object,
      nodeAddress: options.nodeAddress,
      mtu: () => this.uplinks.current[0]?.mtu ?? DEFAULT_MTU,
    });
  }

  /** Host device, uplinks and addresses; from here on they are followed. */
  async start(): Promise<void> {
    setUpHost(this.#netlink, this.#options.nodeAddress);
    reservePorts(this.#options.masqueradePorts);
    this.enforcement.admit(RESERVED.init, ['reserved:init']);
    await this.#followHost();
    this.#watch = this.#netlink.watch(() => {
      clearTimeout(this.#settling);
      this.#settling = setTimeout(() => void this.#followHost(), SETTLE_MS);
    });
    this.#sweeping = setInterval(() => this.#sweepExpired(), SWEEP_MS);
    this.#sweeping.unref();
  }

  /**
   * To be called once the endpoints of an earlier process are there again and the policy is known: brings both into force
   * and takes away whatever nobody claimed.
   */
  async commit(): Promise<void> {
    this.enforcement.commit();
    await this.endpoints.sweep();
    const live = new Set(this.endpoints.list().map((endpoint) => endpoint.ipv4));
    const ends = this.conntrack.list().flatMap((connection) => [connection.source, connection.destination]);
    const { cluster } = this.ipcache.sources;
    this.policyMap.sweep();
    this.conntrack.sweep(
      [...new Set(ends)].filter((address) => !live.has(address) && isInside(address, cluster)),
    );
  }

  createEndpoint(spec: EndpointSpec): Promise<Attachment> {
    return this.endpoints.create(spec);
  }

  async activateEndpoint(key: string, owner: Owner): Promise<void> {
    const before = this.endpoints.get(key)?.owner?.identity;
    this.enforcement.admit(owner.identity, this.#options.labelsOf(owner.identity));
    this.#followCluster();
    this.endpoints.activate(key, owner);
    if (before !== undefined && before !== owner.identity) this.#release(before);
  }

  async removeEndpoint(key: string): Promise<void> {
    const endpoint = await this.endpoints.remove(key);
    if (endpoint === undefined) return;
    if (endpoint.owner !== undefined) this.#release(endpoint.owner.identity);
    this.#sweepSoon(endpoint.ipv4);
  }

  close(): void {
    this.#watch?.[Symbol.dispose]();
    clearTimeout(this.#settling);
    clearInterval(this.#sweeping);
    this.#netlink.close();
    this.object.close();
  }

  #configure(): void {
    const { first, last } = this.#options.masqueradePorts;
    const { config } = this.object.maps;
    const before = config.get(0);
    config.set(0, {
      generation: before?.generation ?? 0,
      traceLevel: TraceLevel.TRACE_MEDIUM,
      uplink: before?.uplink ?? 0,
      natLow: first,
      natHigh: last,
    });
  }

  #release(identity: number): void {
    if (identity !== RESERVED.init && this.endpoints.countOf(identity) === 0)
      this.enforcement.forget(identity);
  }

  /** One walk through the connections serves all endpoints that went within a moment. */
  #sweepSoon(address: string): void {
    if (this.#gone.size === 0) {
      setTimeout(() => {
        const addresses = [...this.#gone];
        this.#gone.clear();
        this.conntrack.sweep(addresses);
      }, SETTLE_MS).unref();
    }
    this.#gone.add(address);
  }

  #sweepExpired(): void {
    if (Date.now() - this.#lastSweep < SWEEP_MS) return;
    this.#lastSweep = Date.now();
    this.conntrack.sweep();
  }

  #followCluster(): void {
    const wanted = this.#options.clusterCidrs();
    const present = this.ipcache.sources.cluster;
    if (wanted.join() !== present.join()) this.ipcache.update({ cluster: wanted });
  }

  async #followHost(): Promise<void> {
    try {
      const own = this.#netlink
        .addresses()
        .filter((item) => item.family === 4 && !item.address.startsWith('127.'));
      this.ipcache.update({
        cluster: this.#options.clusterCidrs(),
        native: this.#options.nativeCidrs,
        host: own.map((item) => item.address),
      });
      await this.uplinks.refresh();
    } catch (error) {
      this.#options.log.error('follow the addresses of the host', {
        device: HOST_DEVICE,
        error: String(error),
      });
    }
  }
}

function isInside(address: string, ranges: string[]): boolean {
  return ranges.some((range) => cidrContains(parseCidr(range), address));
}
