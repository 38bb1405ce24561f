/**
 * Keeps weir's view of networks and endpoints true to Docker's: what vanished while nobody told us is removed, names and
 * late labels are taken down. Driven by Docker's events, and by itself as long as something is open.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, type Log } from '../base/index.ts';
import type { DockerClient, DockerEvent, DockerNetwork, EndpointSighting } from './docker-client.ts';
import type { EndpointView } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import { deleteNetwork } from './network-driver.ts';
import type { Network, Networks } from './networks.ts';
import { withinMs } from './time-limit.ts';

export interface ReconcilerOptions {
  docker: Pick<DockerClient, 'identify' | 'networks' | 'endpoints' | 'watch'>;
  networks: Networks;
  endpoints: Endpoints;
  log: Log;
  now: () => number;
  /** After the removal of an endpoint that Docker lost without telling: its address may go too. */
  onEndpointLost?: (endpoint: EndpointView) => void;
  /** After the removal of a network that Docker lost without telling: its pools may go too. */
  onNetworkLost?: (network: Network) => void;
}

/** Docker repeats a call for about 15 s; an endpoint or network younger than this may still be in the making. */
const GRACE_MS = 30_000;
const REQUEST_MS = 10_000;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** Between comparisons that nothing asked for. */
const IDLE_MS = 60_000;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #stopping = new AbortController();
  #loops: Promise<unknown> | undefined;
  #wake: (() => void) | undefined;
  #isAsked = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    options.endpoints.onWaiting(() => this.ask());
  }

  /** Starts to follow Docker; never waits for it. */
  start(): void {
    this.#loops ??= Promise.all([this.#follow(), this.#work()]);
    this.ask();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loops;
  }

  /** Asks for a comparison soon. */
  ask(): void {
    this.#isAsked = true;
    this.#wake?.();
  }

  /** One comparison with Docker. Answers whether all is settled; rejects when Docker does not answer. */
  async reconcile(): Promise<boolean> {
    const { docker, networks, endpoints } = this.#options;
    // taken before Docker is asked: what comes into being meanwhile is not missing
    const known = { networks: networks.list(), endpoints: endpoints.list() };
    const present = new Map(
      (await this.#ask((signal) => docker.networks(signal))).map((network) => [network.id, network]),
    );
    let isSettled = true;
    for (const network of known.networks) {
      const members = known.endpoints.filter((endpoint) => endpoint.networkId === network.id);
      isSettled = (await this.#compare(network, members, present)) && isSettled;
    }
    return isSettled;
  }

  async #compare(
    network: Network,
    members: EndpointView[],
    present: ReadonlyMap<string, DockerNetwork>,
  ): Promise<boolean> {
    const { networks, endpoints, docker, now, log, onNetworkLost } = this.#options;
    const found = present.get(network.id);
    if (found !== undefined) await endpoints.learnNetwork(network.id, found.name);
    if (found !== undefined && members.length === 0) return true;
    const sightings = found && (await this.#ask((signal) => docker.endpoints(network.id, signal)));
    const results = [];
    for (const member of members) results.push(await this.#compareEndpoint(member, sightings ?? []));
    if (sightings !== undefined) return results.every(Boolean);
    if (now() - network.createdAt < GRACE_MS) return false;
    await deleteNetwork(networks, endpoints, network.id);
    log.info('network removed, Docker has it no longer', {
      network: network.name ?? network.id.slice(0, 12),
    });
    onNetworkLost?.(network);
    return true;
  }

  async #compareEndpoint(member: EndpointView, sightings: EndpointSighting[]): Promise<boolean> {
    const { endpoints, docker } = this.#options;
    const { key, networkId, state, containerId } = member;
    const sighting = sightings.find((item) => item.endpointId === key);
    if (sighting === undefined) return this.#collect(member);
    if (state === 'waiting-for-identity') {
      const facts = await this.#ask((signal) => docker.identify(networkId, key, signal));
      if (facts === undefined) return false;
      await endpoints.resolve(key, facts);
    } else if (containerId !== '' && sighting.containerName !== '') {
      await endpoints.rename(containerId, sighting.containerName);
    }
    return true;
  }

  /** Removes what Docker does not have: at once if a container had it, later if one may still get it. */
  async #collect(member: EndpointView): Promise<boolean> {
    const { endpoints, log, onEndpointLost } = this.#options;
    const isInUse =
      member.state === 'ready' || member.state === 'waiting-for-identity' || member.state === 'restoring';
    if (!endpoints.hasRested(member.key, isInUse ? 0 : GRACE_MS)) return false;
    await endpoints.remove(member.key);
    log.info('endpoint removed, Docker has it no longer', {
      address: member.ipv4 || member.ipv6,
      container: member.containerName,
    });
    onEndpointLost?.(member);
    return true;
  }

  #ask<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withinMs(REQUEST_MS, question, this.#stopping.signal);
  }

  /** Compares whenever asked, and again while something is open, ever less often. */
  async #work(): Promise<void> {
    let pause = SHORTEST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      if (this.#isAsked) pause = SHORTEST_PAUSE_MS;
      this.#isAsked = false;
      const isSettled = await this.#attempt();
      await this.#pause(isSettled ? IDLE_MS : pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async #attempt(): Promise<boolean> {
    try {
      return await this.reconcile();
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#options.log.debug('cannot compare with Docker', { reason: describeError(error) });
      return false;
    }
  }

  /** Until asked, or for so long. */
  async #pause(ms: number): Promise<void> {
    if (this.#isAsked || this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** Follows Docker's events for ever; after each new beginning everything is compared, since something may have been missed. */
  async #follow(): Promise<void> {
    const { docker, log } = this.#options;
    let pause = SHORTEST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      try {
        const onOpen = (): void => {
          pause = SHORTEST_PAUSE_MS;
          log.info('following Docker');
          this.ask();
        };
        await docker.watch(onOpen, (event) => void this.#handle(event), this.#stopping.signal);
      } catch (error) {
        if (!this.#stopping.signal.aborted)
          log.debug('cannot follow Docker', { reason: describeError(error) });
      }
      await sleep(pause, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async #handle(event: DockerEvent): Promise<void> {
    try {
      await this.#heed(event);
    } catch (error) {
      this.#options.log.error('cannot follow an event of Docker', {
        event: event.action,
        reason: describeError(error),
      });
    }
  }

  async #heed({ type, action, id, attributes }: DockerEvent): Promise<void> {
    const { networks, endpoints } = this.#options;
    const name = attributes['name'] ?? '';
    if (type === 'network') {
      if (action === 'create' && networks.find(id) !== undefined) await endpoints.learnNetwork(id, name);
      else if (networks.find(id) === undefined) await this.#heedForeign(action, attributes);
      else if (this.#isOpen(id)) this.ask();
      return;
    }
    if (action === 'rename') await endpoints.rename(id, name.replace(/^\//, ''));
    else if (action === 'start' && this.#isOpen()) this.ask();
    else if (action === 'destroy' && endpoints.list().some((endpoint) => endpoint.containerId === id))
      this.ask();
  }

  /** Which networks of other drivers a container is on. */
  async #heedForeign(action: string, { container = '', name = '' }: Record<string, string>): Promise<void> {
    if (action !== 'connect' && action !== 'disconnect') return;
    await this.#options.endpoints.foreignNetwork(container, name, action === 'connect');
  }

  /** Whether some endpoint (of this network) is not what it should end as. */
  #isOpen(networkId?: string): boolean {
    const ours = this.#options.endpoints
      .list()
      .filter((endpoint) => networkId === undefined || endpoint.networkId === networkId);
    return ours.some((endpoint) => endpoint.state !== 'ready');
  }
}
