/** The datapath of this host, whole: device, uplinks, endpoints, policy, conntrack, from one set of options. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cidrContains, describeError, HostError, parseCidr } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { attachSockets, ConfigFlag, DatapathObject, TraceLevel } from '../bpf/index.ts';
import { CidrIdentities, RESERVED } from '../identity/index.ts';
import { hasFeature, holdPort, lockFolder, Netlink, portUser } from '../kernel/index.ts';
import type { PolicyContext } from '../policy/index.ts';
import { Conntrack } from './conntrack.ts';
import type { IsGone } from './conntrack.ts';
import { EndpointDevices } from './endpoint-device.ts';
import { EndpointTable } from './endpoint-table.ts';
import type { Attachment, EndpointSpec, Owner } from './endpoint-table.ts';
import { Enforcement } from './enforcement.ts';
import { setUpHost } from './host-device.ts';
import { Ipcache } from './ipcache.ts';
import { PolicyMap } from './policy-map.ts';
import { localPorts, reservePorts } from './reserved-ports.ts';
import type { PortRange } from './reserved-ports.ts';
import { Services } from './services.ts';
import type { PortOwner, PortRequest, PublishedPort } from './services.ts';
import { Uplinks } from './uplinks.ts';

export interface DatapathOptions {
  bpffs: string;
  log: Log;
  /** Names of the uplinks; empty: found. */
  uplinks: string[];
  masqueradePorts: PortRange;
  /** Map → entries, in place of the usual sizes. */
  mapSizes?: Record<string, number>;
  /** Addresses of the cluster and of its networks: reachable only as an endpoint. Asked again when endpoints come. */
  clusterCidrs: () => string[];
  nativeCidrs: string[];
  /** weir's own addresses on this host, one of each family that it has. */
  nodeAddresses: string[];
  context: PolicyContext;
  /** What policy denies passes and is only told, for all endpoints. Default: no. */
  audit?: boolean;
  /** Labels of an identity that an endpoint is given. */
  labelsOf: (identity: number) => string[];
  /** False: filters instead of links, as on a kernel without tcx; default: whether this kernel has it. */
  tcx?: boolean;
}

/** Addresses that no container calls the host by. */
const WITHIN_LINK = ['127.0.0.0/8', '::1/128', 'fe80::/10'].map(parseCidr);
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
  readonly services: Services;
  /** Why the host's own sockets do not reach published ports; undefined: they do. */
  socketsRefused: string | undefined;
  readonly #options: DatapathOptions;
  readonly #netlink: Netlink;
  readonly #devices: EndpointDevices;
  readonly #lock: Disposable;
  readonly #gone = new Set<string>();
  /** Masquerade ports of the process before. */
  readonly #formerPorts: PortRange | undefined;
  #watch: Disposable | undefined;
  #settling: NodeJS.Timeout | undefined;
  #sweeping: NodeJS.Timeout | undefined;
  #collecting: NodeJS.Timeout | undefined;
  /** One walk at a time, and one look at the host at a time. */
  #walk: Promise<void> = Promise.resolve();
  #look: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Throws HostError DATAPATH_IN_USE where another process has it; nothing in the kernel has changed then. */
  constructor(options: DatapathOptions) {
    this.#options = options;
    this.#lock = lock(join(options.bpffs, 'weir'));
    const { bpffs, log, nodeAddresses, context, tcx = hasFeature('tcx') } = options;
    this.object = new DatapathObject({ bpffs, tcx, maxEntries: options.mapSizes ?? {} });
    const { object } = this;
    const { maps } = object;
    const netlink = Netlink.open();
    this.#netlink = netlink;
    this.#formerPorts = this.#configure();
    this.policyMap = new PolicyMap(maps);
    this.ipcache = new Ipcache(maps.ipcache);
    const { policyMap, ipcache } = this;
    const cidrs = new CidrIdentities(ipcache.sources.policy);
    this.enforcement = new Enforcement({ policyMap, ipcache, cidrs, context });
    this.conntrack = new Conntrack(maps);
    this.uplinks = new Uplinks({ netlink, object, tcx, log, names: options.uplinks });
    const mtu = (): number => this.uplinks.current[0]?.mtu ?? DEFAULT_MTU;
    this.#devices = new EndpointDevices({ netlink, object, tcx, nodeAddresses, log });
    this.endpoints = new EndpointTable({ devices: this.#devices, maps, mtu, log });
    this.services = new Services({
      map: maps.service,
      ownerOf: (key) => this.#portOwner(key),
      hold: holdPort,
      userOf: portUser,
      range: localPorts,
      log,
    });
  }

  /** Host device, uplinks and addresses; from here on they are followed. */
  async start(): Promise<void> {
    setUpHost(this.#netlink, this.#options.nodeAddresses);
    reservePorts(this.#options.masqueradePorts, this.#formerPorts);
    this.enforcement.admit(RESERVED.init, ['reserved:init']);
    this.#followAddresses();
    await this.#followUplinks();
    this.#watch = this.#netlink.watch(() => this.#followSoon());
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeping.unref();
  }

  /**
   * To be called once the endpoints of an earlier process are there again and the policy is known: brings both into force
   * and takes away whatever nobody claimed.
   */
  async commit(): Promise<void> {
    this.enforcement.commit();
    if (this.object.isTakingOver) this.#options.log.info('takes over maps of another layout');
    await this.object.takeOver();
    this.#attachSockets();
    await this.endpoints.sweep();
    this.services.sweep();
    const live = new Set(this.endpoints.list().flatMap((endpoint) => endpoint.addresses));
    const cluster = this.ipcache.sources.cluster.map(parseCidr);
    const isOurs = (address: string): boolean => cluster.some((range) => cidrContains(range, address));
    this.#sweep((address) => !live.has(address) && isOurs(address));
  }

  /** What policy denies passes and is only told, from now on and for all endpoints. */
  get audit(): boolean {
    return ((this.object.maps.config.get(0)?.flags ?? 0) & ConfigFlag.CONFIG_AUDIT) !== 0;
  }

  set audit(audit: boolean) {
    const { config } = this.object.maps;
    const current = config.get(0);
    if (current === undefined) return;
    const others = current.flags & ~ConfigFlag.CONFIG_AUDIT;
    config.set(0, { ...current, flags: audit ? others | ConfigFlag.CONFIG_AUDIT : others });
  }

  createEndpoint(spec: EndpointSpec): Promise<Attachment> {
    return this.endpoints.create(spec);
  }

  /** Throws UserError POLICY_TOO_LARGE where the kernel has no room for the identity's policy. */
  async activateEndpoint(key: string, owner: Owner): Promise<void> {
    const before = this.endpoints.get(key)?.owner;
    try {
      this.enforcement.admit(owner.identity, this.#options.labelsOf(owner.identity));
      this.#followCluster();
      this.endpoints.activate(key, owner);
      if (before?.identity === owner.identity && before.spaces.join() !== owner.spaces.join())
        this.enforcement.refresh();
    } finally {
      for (const identity of new Set([before?.identity, owner.identity])) this.#release(identity);
    }
  }

  /** All ports or none. Throws UserError naming who has the one that is not free. */
  async publishPorts(key: string, requests: readonly PortRequest[]): Promise<PublishedPort[]> {
    return this.services.publish(key, requests);
  }

  async restorePorts(key: string, ports: readonly PublishedPort[]): Promise<void> {
    this.services.restore(key, ports);
  }

  async unpublishPorts(key: string): Promise<void> {
    this.services.unpublish(key);
  }

  /** From its return on nothing of the endpoint passes; `close` waits until its device has gone. */
  async removeEndpoint(key: string): Promise<void> {
    this.services.unpublish(key);
    const endpoint = this.endpoints.remove(key);
    if (endpoint === undefined) return;
    this.#release(endpoint.owner?.identity);
    this.#sweepSoon(endpoint.addresses);
  }

  /** Idempotent. Ends what is under way first: devices that go, filters that become links. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.[Symbol.dispose]();
    clearTimeout(this.#settling);
    clearTimeout(this.#collecting);
    clearInterval(this.#sweeping);
    this.conntrack.close();
    this.policyMap.close();
    this.services.close();
    await Promise.allSettled([this.#walk, this.#look, this.endpoints.settled(), this.#devices.close()]);
    this.#netlink.close();
    this.object.close();
    this.#lock[Symbol.dispose]();
  }

  /** Answers the masquerade ports that were configured before. */
  #configure(): PortRange | undefined {
    const { first, last } = this.#options.masqueradePorts;
    const { config } = this.object.maps;
    const before = config.get(0);
    config.set(0, {
      generation: before?.generation ?? 0,
      traceLevel: TraceLevel.TRACE_MEDIUM,
      uplink: before?.uplink ?? 0,
      natLow: first,
      natHigh: last,
      flags: this.#options.audit === true ? ConfigFlag.CONFIG_AUDIT : 0,
      netns: before?.netns ?? 0n,
    });
    if (before === undefined || before.natHigh === 0) return undefined;
    return { first: before.natLow, last: before.natHigh };
  }

  #portOwner(key: string): PortOwner {
    const endpoint = this.endpoints.get(key);
    const { containerId = '', containerName = '' } = endpoint?.owner ?? {};
    return { containerId, containerName, addresses: endpoint?.addresses ?? [] };
  }

  /** A kernel that lets no program near its sockets still forwards what comes from elsewhere. */
  #attachSockets(): void {
    const { config } = this.object.maps;
    try {
      attachSockets(this.#options.bpffs, (netns) => {
        const current = config.get(0);
        if (current !== undefined) config.set(0, { ...current, netns });
      });
      this.socketsRefused = undefined;
    } catch (error) {
      this.socketsRefused = describeError(error);
      this.#options.log.warn('the host itself does not reach published ports', {
        reason: this.socketsRefused,
      });
    }
  }

  #release(identity: number | undefined): void {
    if (identity === undefined || identity === RESERVED.init) return;
    if (this.endpoints.countOf(identity) === 0) this.enforcement.forget(identity);
  }

  /** One walk through the connections serves all endpoints that went within a moment. */
  #sweepSoon(addresses: readonly string[]): void {
    for (const address of addresses) this.#gone.add(address);
    if (this.#collecting !== undefined) return;
    this.#collecting = setTimeout(() => {
      this.#collecting = undefined;
      const gone = new Set(this.#gone);
      this.#gone.clear();
      this.#sweep((address) => gone.has(address));
    }, SETTLE_MS);
    this.#collecting.unref();
  }

  #sweep(isGone?: IsGone): void {
    this.#walk = this.#walk.then(() =>
      this.#attempt('sweep connections', () => this.conntrack.sweep(isGone)),
    );
  }

  #followCluster(): void {
    const wanted = this.#options.clusterCidrs();
    const present = this.ipcache.sources.cluster;
    if (wanted.join() !== present.join()) this.ipcache.update({ cluster: wanted });
  }

  #followSoon(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#look = this.#look.then(() => this.#followHost());
    }, SETTLE_MS).unref();
  }

  async #followHost(): Promise<void> {
    await this.#attempt('mend what weir has on this host', () => {
      setUpHost(this.#netlink, this.#options.nodeAddresses);
      this.endpoints.mend();
      this.#followAddresses();
    });
    await this.#followUplinks();
  }

  /** Containers do without the world where there is no way to it. */
  #followUplinks(): Promise<void> {
    return this.#attempt('follow the uplinks', () => this.uplinks.refresh());
  }

  #followAddresses(): void {
    // link-local addresses mean another host on every link
    const own = this.#netlink
      .addresses()
      .filter(({ address }) => !WITHIN_LINK.some((range) => cidrContains(range, address)));
    this.ipcache.update({
      cluster: this.#options.clusterCidrs(),
      native: this.#options.nativeCidrs,
      host: own.map((item) => item.address),
    });
  }

  async #attempt(what: string, task: () => void | Promise<void>): Promise<void> {
    if (this.#isClosed) return;
    try {
      await task();
    } catch (error) {
      if (!this.#isClosed) this.#options.log.error(`cannot ${what}`, { reason: describeError(error) });
    }
  }
}

function lock(folder: string): Disposable {
  mkdirSync(folder, { recursive: true });
  const held = lockFolder(folder);
  if (held !== undefined) return held;
  throw new HostError('DATAPATH_IN_USE', `another weir agent has the datapath in ${folder}`, {
    hint: 'stop it first, or give this one another --bpffs',
  });
}
