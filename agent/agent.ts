/**
 * The agent: every part made once, in the order in which each may rely on the one before, and taken down in reverse.
 * State is restored and in force before dockerd can reach the plugin socket; Docker itself is never waited for.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError, systemClock } from '../base/index.ts';
import type { api, Log } from '../base/index.ts';
import { EventStream } from '../bpf/index.ts';
import { Datapath, SandboxRoutes } from '../datapath/index.ts';
import type { DatapathOptions } from '../datapath/index.ts';
import {
  createNetworkDriver,
  createPluginApp,
  DockerClient,
  Endpoints,
  Networks,
  Reconciler,
} from '../driver/index.ts';
import { IdentityAllocator, LabelFilter } from '../identity/index.ts';
import { createIpamDriver, Ipam } from '../ipam/index.ts';
import { Netlink, requireHost } from '../kernel/index.ts';
import { openEmbeddedStore } from '../kvstore/index.ts';
import type { Store } from '../kvstore/index.ts';
import { Monitor } from '../observe/index.ts';
import { createApi } from './api.ts';
import { lostEvents } from './bpf-views.ts';
import { clusterPrefixes, hostRoutes } from './cluster-prefixes.ts';
import { listenOnSocket, refuseLive } from './api-listen.ts';
import type { Listener } from './api-listen.ts';
import { STORE_FILE } from './config.ts';
import type { AgentConfig } from './config.ts';
import { Ends } from './ends.ts';
import { flowNames, Generations } from './flow-names.ts';
import { LostAddresses } from './lost-addresses.ts';
import type { Parts } from './parts.ts';
import { PolicyRepository } from './policy-repository.ts';
import { createState, labelsOfIdentity } from './state.ts';

const COLLECT_MS = 60_000;
/** How long a predecessor may take to let go of what it had. */
const PATIENCE_MS = 3_000;
const TAKEN = new Set(['STORE_LOCKED', 'SOCKET_IN_USE', 'DATAPATH_IN_USE']);
const PATIENCE_STEP_MS = 50;
const STOP_MS = 2_000;
/** How often listeners are told of events that the kernel's ring had no room for. */
const LOST_MS = 1_000;
/** dockerd keeps its connection; closing it while it sends makes it repeat the call without a body. */
const KEEP_ALIVE_MS = 24 * 3_600_000;

export interface AgentOptions {
  config: AgentConfig;
  settings: api.Setting[];
  log: Log;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #ends: Ends;

  private constructor(options: AgentOptions) {
    this.#options = options;
    this.#ends = new Ends(options.log);
  }

  /** Running when it resolves; nothing left running when it rejects. */
  static async start(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    try {
      await agent.#start();
      return agent;
    } catch (error) {
      await agent.stop();
      throw error;
    }
  }

  /** Takes everything down, within two seconds whatever hangs; the datapath stays in the kernel and goes on. Idempotent. */
  stop(): Promise<void> {
    return this.#ends.run(STOP_MS);
  }

  async #start(): Promise<void> {
    const { config, settings, log } = this.#options;
    requireHost({ bpffs: config.bpffs });
    const api = join(config.runDir, 'weir.sock');
    // listening comes last; a second agent must be known for one before it touches anything
    for (const socket of [api, config.pluginSocket]) await patiently(() => refuseLive(socket));
    const store = await this.#openStore();
    const parts = await this.#assemble(store);
    await this.#restore(parts);
    const state = createState(parts, settings);
    await this.#listen(createApi(state, { log: log.child('api') }), api);
    const plugin = createPluginApp({
      networkDriver: createNetworkDriver({
        networks: parts.networks,
        endpoints: parts.endpoints,
        onNetwork: ({ pools }) => parts.ipam.claim(pools),
        scope: config.scope,
        log: log.child('driver'),
      }),
      ipamDriver: createIpamDriver(parts.ipam, { log: log.child('ipam') }),
      log: log.child('driver'),
    });
    await this.#listen(plugin, config.pluginSocket);
    this.#follow(parts);
  }

  async #openStore(): Promise<Store> {
    const { config, log } = this.#options;
    mkdirSync(config.stateDir, { recursive: true });
    chmodSync(config.stateDir, 0o700);
    const file = join(config.stateDir, STORE_FILE);
    const store = await patiently(() => openEmbeddedStore({ file, log: log.child('kvstore') }));
    this.#ends.add('store', () => store.close());
    return store;
  }

  /** Every part, told what was known before the restart; nothing in the kernel has changed yet. */
  async #assemble(store: Store): Promise<Parts> {
    const { config, log } = this.#options;
    const netlink = Netlink.open();
    this.#ends.add('netlink', () => netlink.close());
    const [ipv4, ipv6] = clusterPrefixes(config, hostRoutes(netlink));
    const identities = new IdentityAllocator({ store });
    await identities.load();
    const ipam = await Ipam.open({
      store,
      ...ipv4,
      ...(ipv6 && { ipv6 }),
      hostRoutes: () => hostRoutes(netlink),
      isOfWeir: (subnet) => networks.list().some(({ pools }) => pools.includes(subnet)),
    });
    const { nodeAddresses } = ipam;
    const now = (): number => systemClock.now();
    const networks = new Networks({ records: store, now, hostAddresses: nodeAddresses });
    await networks.load();
    const clusterCidrs = [ipv4.clusterCidr, ...(ipv6 ? [ipv6.clusterCidr] : [])];
    const labelsOf = (identity: number): string[] => labelsOfIdentity({ identities, datapath }, identity);
    const datapath = await patiently(async () =>
      this.#openDatapath({ clusterCidrs, nodeAddresses, networks, identities }),
    );
    const { dockerSocket: socketPath, imageLabels } = config;
    const docker = new DockerClient({ socketPath, imageLabels });
    const endpoints = new Endpoints({
      records: store,
      networks,
      datapath,
      identities,
      filter: LabelFilter.parse(config.labels),
      docker,
      clusterCidrs,
      routing: new SandboxRoutes(join(dirname(config.dockerSocket), 'docker/netns')),
      log: log.child('driver'),
      now,
    });
    const generations = new Generations();
    const policy = openPolicy(store, datapath, generations);
    const monitor = this.#watch({ datapath, generations, labelsOf, netlink });
    return {
      config,
      store,
      identities,
      ipam,
      datapath,
      policy,
      networks,
      endpoints,
      docker,
      monitor,
      generations,
      labelsOf,
    };
  }

  #openDatapath({
    clusterCidrs,
    nodeAddresses,
    networks,
    identities,
  }: Pick<DatapathOptions, 'nodeAddresses'> & { clusterCidrs: string[] } & Pick<
      Parts,
      'networks' | 'identities'
    >): Datapath {
    const { config, log } = this.#options;
    const datapath = new Datapath({
      bpffs: config.bpffs,
      log: log.child('datapath'),
      uplinks: config.uplink === undefined ? [] : [config.uplink],
      masqueradePorts: config.masqueradePorts,
      mapSizes: config.bpfMapSize,
      clusterCidrs: () => [
        ...new Set([...clusterCidrs, ...networks.list().flatMap((network) => network.pools)]),
      ],
      nativeCidrs: config.nativeCidr,
      nodeAddresses,
      context: { mode: config.policyMode, spaceOf: (name) => networks.spaceOf(name) ?? 0 },
      audit: config.policyAuditMode === 'enable',
      labelsOf: (identity) => identities.get(identity)?.labels ?? [],
    });
    this.#ends.add('datapath', () => datapath.close());
    return datapath;
  }

  /** From the datapath's ring to whoever listens; with nobody listening events are only taken out. */
  #watch({
    datapath,
    generations,
    labelsOf,
    netlink,
  }: Pick<Parts, 'datapath' | 'generations' | 'labelsOf'> & { netlink: Netlink }): Monitor {
    const interfaceName = (ifindex: number): string => netlink.link(ifindex)?.name ?? String(ifindex);
    const names = flowNames(
      { endpoints: () => datapath.endpoints.list(), labelsOf, interfaceName },
      generations,
    );
    const monitor = new Monitor(names);
    const stream = new EventStream(datapath.object.maps.events, (event) => {
      if (monitor.subscribers === 0) return;
      monitor.publish({ ...event, generation: generations.revisionOf(event.generation) });
    });
    let lost = lostEvents(datapath);
    const timer = setInterval(() => {
      const before = lost;
      lost = lostEvents(datapath);
      monitor.lost(lost - before);
    }, LOST_MS);
    timer.unref();
    this.#ends.add('lost events', () => clearInterval(timer));
    this.#ends.add('events', () => stream.stop());
    return monitor;
  }

  /** What was in force before the restart is in force again, with this process's programs, before dockerd may call. */
  async #restore({ datapath, policy, endpoints, identities, generations }: Parts): Promise<void> {
    await datapath.start();
    await policy.load();
    await endpoints.restore();
    await datapath.commit();
    generations.note(datapath.policyMap.generation, policy.revision, policy.rules);
    const timer = setInterval(() => void identities.collect(), COLLECT_MS);
    timer.unref();
    this.#ends.add('identities', () => clearInterval(timer));
  }

  async #listen(app: Parameters<typeof listenOnSocket>[0], path: string): Promise<void> {
    const listener: Listener = await listenOnSocket(app, path, { keepAliveMs: KEEP_ALIVE_MS });
    this.#ends.add(path, () => listener.close());
  }

  /** Follows Docker from here on: names, late labels, what vanished while nobody told. */
  #follow({ docker, networks, endpoints, ipam }: Parts): void {
    const reconciler = new Reconciler({
      docker,
      networks,
      endpoints,
      log: this.#options.log.child('driver'),
      now: () => systemClock.now(),
    });
    reconciler.start();
    this.#ends.add('reconciler', () => reconciler.stop());
    const census = new LostAddresses({ docker, ipam, endpoints, log: this.#options.log.child('ipam') });
    census.start();
    this.#ends.add('census', () => census.stop());
  }
}

/** An agent that was told to end, or killed, may still be on its way out when its successor starts. */
async function patiently<T>(open: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof HostError) || !TAKEN.has(error.code) || Date.now() > deadline) throw error;
      await sleep(PATIENCE_STEP_MS);
    }
  }
}

/** Every change goes to the datapath first, which notes under which generation it is known to the kernel. */
function openPolicy(store: Store, datapath: Datapath, generations: Generations): PolicyRepository {
  return new PolicyRepository({
    records: store,
    target: {
      apply: (rules, revision) => {
        datapath.enforcement.apply(rules);
        generations.note(datapath.policyMap.generation, revision, rules);
      },
    },
  });
}
