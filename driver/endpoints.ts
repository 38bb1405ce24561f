/** The life of endpoints: made, joined, left, removed, restored. Every step may be repeated; a failed one is undone. */
import { describeError, type Log, UserError } from '../base/index.ts';
import type {
  EndpointDatapath,
  EndpointFacts,
  EndpointLookup,
  EndpointSpec,
  IdentitySource,
  LabelAdmission,
  Records,
  SandboxRouting,
} from './contract.ts';
import { addressesOf, type Endpoint, type EndpointView, viewOf } from './endpoint.ts';
import { EndpointTable } from './endpoint-table.ts';
import { type JoinAnswer, joinAnswer } from './join-answer.ts';
import { KeyedLock } from './keyed-lock.ts';
import { MixedRoutes } from './mixed-routes.ts';
import type { Networks } from './networks.ts';
import type { EndpointRequest, JoinRequest, PublishRequest } from './request.ts';
import { Sandboxes, sandboxesOf } from './sandboxes.ts';
import { withinMs } from './time-limit.ts';

export interface EndpointsOptions {
  records: Records;
  networks: Networks;
  datapath: EndpointDatapath;
  identities: IdentitySource;
  filter: LabelAdmission;
  docker: EndpointLookup;
  clusterCidrs: string[];
  routing: SandboxRouting;
  log: Log;
  now: () => number;
  /** How long Join may wait for Docker to say whose the endpoint is. */
  lookupMs?: number;
}

const MOST_NETWORKS = 8;
/** Docker's API stays silent while dockerd boots and waits for this very Join. */
const LOOKUP_MS = 200;

export class Endpoints {
  readonly #options: EndpointsOptions;
  readonly #table: EndpointTable;
  readonly #sandboxes: Sandboxes;
  readonly #routes: MixedRoutes;
  /** One call at a time per endpoint, then one per sandbox; never the other way round. */
  readonly #calls = new KeyedLock();
  readonly #settling = new KeyedLock();
  #onWaiting: (() => void) | undefined;

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#table = new EndpointTable(options);
    this.#sandboxes = new Sandboxes(options);
    this.#routes = new MixedRoutes(options);
  }

  /** Calls back whenever an endpoint stays without its container's labels. */
  onWaiting(callback: () => void): void {
    this.#onWaiting = callback;
  }

  /** Makes the endpoint, nothing passing yet; durable when it resolves. Answers its MAC address. */
  create(request: EndpointRequest): Promise<string> {
    return this.#calls.run(request.endpointId, async () => {
      this.#options.networks.get(request.networkId);
      const known = this.#table.find(request.endpointId);
      if (known?.state === 'left') await this.#drop(known);
      else if (known !== undefined) return sameEndpoint(known, request);
      for (const address of addressesOf(request.place)) await this.#evict(address);
      const endpoint = this.#table.add(request);
      await this.#orUndo(
        () => settled([this.#table.persist(endpoint), this.#attach(endpoint)]),
        () => this.#drop(endpoint),
      );
      return endpoint.mac;
    });
  }

  /** Gives the endpoint its identity and lets it pass what policy allows. Rejects with the endpoint back as it was made. */
  join({ networkId, endpointId, sandbox }: JoinRequest): Promise<JoinAnswer> {
    return this.#calls.run(endpointId, async () => {
      const endpoint = this.#table.get(endpointId, networkId);
      if (endpoint.state !== 'joined') await this.#enter(endpoint, sandbox);
      else if (endpoint.sandbox !== sandbox) {
        throw new UserError(
          'ENDPOINT_BUSY',
          `endpoint ${endpointId.slice(0, 12)} belongs to another container already`,
        );
      }
      return joinAnswer(endpoint, this.#routes.gateways(endpoint));
    });
  }

  /** Publishes the ports, all or none, durable when it resolves. A repeated call changes nothing. */
  publish({ networkId, endpointId, ports }: PublishRequest): Promise<void> {
    return this.#calls.run(endpointId, async () => {
      const endpoint = this.#table.get(endpointId, networkId);
      const isWanted = this.#options.networks.get(networkId).ports !== 'ignore';
      if (!isWanted || ports.length === 0 || endpoint.ports.length > 0) return;
      await this.#orUndo(
        async () => {
          endpoint.ports = await this.#options.datapath.publishPorts(endpointId, ports);
          await this.#table.persist(endpoint);
        },
        () => this.#unpublish(endpoint),
      );
    });
  }

  /** Idempotent. */
  unpublish(key: string): Promise<void> {
    return this.#calls.run(key, async () => {
      const endpoint = this.#table.find(key);
      if (endpoint === undefined || endpoint.ports.length === 0) return;
      const { ports } = endpoint;
      await this.#orUndo(
        () => this.#unpublish(endpoint),
        () => {
          endpoint.ports = ports;
          return this.#options.datapath.restorePorts(key, ports);
        },
      );
    });
  }

  /** The container no longer uses it; its other endpoints lose this network. Idempotent. */
  leave(key: string): Promise<void> {
    return this.#calls.run(key, async () => {
      const endpoint = this.#table.find(key);
      if (endpoint?.state !== 'joined') return;
      this.#table.touch(endpoint, 'left');
      await this.#settle(endpoint.sandbox);
      await this.#review(endpoint.sandbox);
    });
  }

  /** Takes the endpoint away with all that belongs to it. Idempotent; after a failure it may be tried again. */
  remove(key: string): Promise<void> {
    return this.#calls.run(key, async () => {
      const endpoint = this.#table.find(key);
      if (endpoint !== undefined) await this.#drop(endpoint);
    });
  }

  /** Makes everything as it was before the agent ended, without asking Docker. What fails is logged and stays recorded. */
  async restore(): Promise<void> {
    await this.#table.load();
    const endpoints = this.#table.all();
    for (const endpoint of endpoints)
      await this.#attempt(`restore endpoint ${endpoint.key}`, async () => {
        await this.#attach(endpoint);
        await this.#options.datapath.restorePorts(endpoint.key, endpoint.ports);
      });
    for (const sandbox of sandboxesOf(endpoints))
      await this.#attempt(`restore container in ${sandbox}`, () => this.#settle(sandbox));
  }

  /** Takes down whose endpoint it is, where that came too late for Join. */
  resolve(key: string, facts: EndpointFacts): Promise<void> {
    return this.#calls.run(key, async () => {
      const endpoint = this.#table.find(key);
      if (endpoint?.state !== 'joined') return;
      await this.learnNetwork(endpoint.networkId, facts.networkName);
      await this.#reveal(endpoint, facts.container);
    });
  }

  /** In force and durable when it resolves, as before when it rejects; it goes with the endpoint. Throws UserError ENDPOINT_UNKNOWN. */
  setAudit(key: string, audit: boolean): Promise<void> {
    return this.#calls.run(key, async () => {
      const endpoint = this.#table.known(key);
      const before = endpoint.audit === true;
      await this.#orUndo(
        async () => {
          setAudit(endpoint, audit);
          await this.#settle(endpoint.sandbox);
          await this.#table.persist(endpoint);
        },
        async () => {
          setAudit(endpoint, before);
          await this.#settle(endpoint.sandbox);
        },
      );
    });
  }

  /** A container has a new name. */
  async rename(containerId: string, name: string): Promise<void> {
    const isOld = ({ container }: Endpoint): boolean =>
      container?.id === containerId && container.name !== name;
    for (const endpoint of this.#table.all().filter(isOld)) {
      await this.#calls.run(endpoint.key, async () => {
        if (endpoint.state !== 'joined' || endpoint.container === undefined) return;
        await this.#reveal(endpoint, { ...endpoint.container, name });
      });
    }
  }

  /** A container has joined or left a network of another driver, which may hold its default route. */
  async foreignNetwork(containerId: string, name: string, isOn: boolean): Promise<void> {
    const members = this.#table.all().filter(({ container }) => container?.id === containerId);
    for (const { container } of members) {
      if (container === undefined || container.networks.includes(name) === isOn) continue;
      const others = container.networks.filter((network) => network !== name);
      container.networks = isOn ? [...others, name] : others;
    }
    for (const sandbox of sandboxesOf(members)) await this.#review(sandbox);
  }

  /** A network's name, learnt from Docker: containers on it get their identity by it. */
  async learnNetwork(networkId: string, name: string): Promise<void> {
    const changed = await this.#options.networks.learnName(networkId, name);
    const touched = this.#table.all().filter((endpoint) => changed.includes(endpoint.networkId));
    for (const sandbox of sandboxesOf(touched)) await this.#settle(sandbox);
  }

  list(): EndpointView[] {
    const { networks } = this.#options;
    return this.#table.all().map((endpoint) => {
      const name = networks.find(endpoint.networkId)?.name;
      return viewOf(endpoint, name ?? endpoint.networkId.slice(0, 12));
    });
  }

  /** Whether no call about it runs and Docker has not touched it for so long; false if it is not there. */
  hasRested(key: string, ms: number): boolean {
    const endpoint = this.#table.find(key);
    return endpoint !== undefined && !this.#calls.isBusy(key) && this.#table.restedMs(endpoint) >= ms;
  }

  /** An address is given anew only after Docker gave it up, so an endpoint that no container uses is a leftover of a lost call. */
  async #evict(address: string): Promise<void> {
    const other = this.#table.withAddress(address);
    if (other === undefined || other.state === 'joined' || this.#calls.isBusy(other.key)) return;
    await this.#attempt('remove an abandoned endpoint', () => this.remove(other.key));
  }

  async #attach(endpoint: Endpoint): Promise<void> {
    const { key, networkId, ipv4, ipv6, mac, attachment } = endpoint;
    const network = this.#options.networks.spec(networkId);
    const spec: EndpointSpec = { key, network, mac };
    if (ipv4 !== undefined) spec.ipv4 = ipv4;
    if (ipv6 !== undefined) spec.ipv6 = ipv6;
    if (attachment !== undefined) spec.endpointId = attachment.endpointId;
    endpoint.attachment = await this.#options.datapath.createEndpoint(spec);
  }

  async #unpublish(endpoint: Endpoint): Promise<void> {
    await this.#options.datapath.unpublishPorts(endpoint.key);
    endpoint.ports = [];
    await this.#table.persist(endpoint);
  }

  async #enter(endpoint: Endpoint, sandbox: string): Promise<void> {
    await this.#identify(endpoint, sandbox);
    await this.#orUndo(
      () =>
        this.#settling.run(sandbox, () => {
          const changed = this.#place(endpoint, sandbox);
          return settled([
            this.#sandboxes.settle(this.#table.members(sandbox)),
            ...[endpoint, ...changed].map((item) => this.#table.persist(item)),
          ]);
        }),
      () => this.#goBack(endpoint, sandbox),
    );
    if (!this.#isKnown(endpoint)) this.#onWaiting?.();
  }

  /** Puts the endpoint into the sandbox, with routes that none of the others there has. Answers whose routes have changed by it. */
  #place(endpoint: Endpoint, sandbox: string): Endpoint[] {
    const others = this.#table.members(sandbox);
    if (others.length >= MOST_NETWORKS) {
      throw new UserError(
        'TOO_MANY_NETWORKS',
        `a container can be on ${MOST_NETWORKS} weir networks at most`,
        {
          hint: 'disconnect it from one first',
        },
      );
    }
    const changed = this.#routes.join(endpoint, others);
    endpoint.sandbox = sandbox;
    this.#table.touch(endpoint, 'joined');
    return changed;
  }

  /** After a failed join: as if it had never been in the sandbox. Docker deletes the endpoint next. */
  async #goBack(endpoint: Endpoint, sandbox: string): Promise<void> {
    this.#table.touch(endpoint, 'created');
    endpoint.routes = [];
    delete endpoint.sandbox;
    delete endpoint.owner;
    await this.#settle(sandbox);
    await this.#review(sandbox);
    await this.#options.identities.release(endpoint.key);
    await this.#table.persist(endpoint);
  }

  #isKnown({ container, networkId }: Endpoint): boolean {
    return container !== undefined && this.#options.networks.get(networkId).name !== undefined;
  }

  /** Labels of the container; known already when the container has joined another network before. */
  async #identify(endpoint: Endpoint, sandbox: string): Promise<void> {
    const { docker, log, lookupMs = LOOKUP_MS } = this.#options;
    const siblings = this.#table.members(sandbox);
    const container = siblings.find((member) => member.container !== undefined)?.container;
    if (container !== undefined) endpoint.container = container;
    // a start may wait only once, whatever the number of its networks
    else if (siblings.length > 0) return;
    if (this.#isKnown(endpoint)) return;
    const { key, networkId } = endpoint;
    try {
      const facts = await withinMs(lookupMs, (signal) => docker.identify(networkId, key, signal));
      if (facts === undefined)
        throw new UserError('CONTAINER_UNKNOWN', 'Docker does not know the container yet');
      await this.learnNetwork(networkId, facts.networkName);
      endpoint.container = facts.container;
    } catch (error) {
      log.warn('container starts without identity', {
        endpoint: key.slice(0, 12),
        reason: describeError(error),
      });
    }
  }

  async #reveal(endpoint: Endpoint, container: NonNullable<Endpoint['container']>): Promise<void> {
    endpoint.container = container;
    await this.#settle(endpoint.sandbox);
    await this.#review(endpoint.sandbox);
    await this.#table.persist(endpoint);
  }

  async #settle(sandbox: string | undefined): Promise<void> {
    if (sandbox === undefined) return;
    await this.#settling.run(sandbox, () => this.#sandboxes.settle(this.#table.members(sandbox)));
  }

  /** Routes of a container whose networks have changed. */
  async #review(sandbox: string | undefined): Promise<void> {
    if (sandbox === undefined) return;
    await this.#settling.run(sandbox, async () => {
      const changed = this.#routes.review(this.#table.members(sandbox));
      await settled(changed.map((endpoint) => this.#table.persist(endpoint)));
    });
  }

  async #drop(endpoint: Endpoint): Promise<void> {
    const { datapath, identities } = this.#options;
    this.#table.touch(endpoint, 'left');
    await this.#attempt('settle the rest of a container', () => this.#settle(endpoint.sandbox));
    await datapath.removeEndpoint(endpoint.key);
    await identities.release(endpoint.key);
    await this.#table.forget(endpoint);
  }

  async #orUndo(task: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      await this.#attempt('undo a failed call', undo);
      throw error;
    }
  }

  async #attempt(what: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#options.log.error(`cannot ${what}`, { reason: describeError(error) });
    }
  }
}

function setAudit(endpoint: Endpoint, audit: boolean): void {
  if (audit) endpoint.audit = true;
  else delete endpoint.audit;
}

/** Waits for all, then rejects with the first failure: nothing goes on behind an answer. */
async function settled(tasks: Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(tasks)) if (result.status === 'rejected') throw result.reason;
}

/** The answer to a repeated CreateEndpoint. */
function sameEndpoint(known: Endpoint, { networkId, place }: EndpointRequest): string {
  const isSamePlace = addressesOf(known).join() === addressesOf(place).join();
  if (known.networkId === networkId && isSamePlace) return known.mac;
  throw new UserError('ENDPOINT_BUSY', `endpoint ${known.key.slice(0, 12)} exists with another address`);
}
