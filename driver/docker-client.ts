/**
 * Docker's API, as far as weir asks it. Never asks for a container's details: that call waits for the very lock under
 * which dockerd waits for our answer (libnetwork holds it through CreateEndpoint, Join and Leave).
 */
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { describeError, HostError } from '../base/index.ts';
import { type AddressCensus, censusOf, type NetworkAddresses } from './address-census.ts';
import type { Container, EndpointFacts, EndpointLookup } from './contract.ts';
import { ImageLabels } from './image-labels.ts';

export interface DockerNetwork {
  id: string;
  name: string;
}

/** An endpoint in Docker's view of a network; `containerId` is missing until its container has been set up. */
export interface EndpointSighting {
  endpointId: string;
  containerName: string;
  containerId?: string;
}

export interface DockerEvent {
  type: string;
  action: string;
  id: string;
  attributes: Record<string, string>;
}

interface NetworkAnswer extends NetworkAddresses {
  Id: string;
  Name: string;
  Containers?: Record<
    string,
    { Name?: string; EndpointID?: string; IPv4Address?: string; IPv6Address?: string }
  > | null;
}

interface ContainerAnswer {
  Id: string;
  Names?: string[] | null;
  ImageID?: string;
  Labels?: Record<string, string> | null;
  NetworkSettings?: { Networks?: Record<string, unknown> | null };
}

interface ImageAnswer {
  Config?: { Labels?: Record<string, string> | null } | null;
}

interface EventAnswer {
  Type?: string;
  Action?: string;
  Actor?: { ID?: string; Attributes?: Record<string, string> };
}

type Query = Record<string, string>;

const EVENT_FILTERS = {
  type: ['container', 'network'],
  event: ['create', 'connect', 'disconnect', 'destroy', 'rename', 'start'],
};

/** Docker's names for having no network of one's own. */
const NO_NETWORKS = new Set(['none', 'host']);

/** Before a container is set up, Docker lists its endpoint under this prefix instead of the container's id. */
const UNSETTLED = 'ep-';

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error as Error & { statusCode?: number }).statusCode === 404;
}

function sightingsOf(network: NetworkAnswer): EndpointSighting[] {
  return Object.entries(network.Containers ?? {}).map(([key, { Name = '', EndpointID = '' }]) =>
    key.startsWith(UNSETTLED)
      ? { endpointId: EndpointID || key.slice(UNSETTLED.length), containerName: Name }
      : { endpointId: EndpointID, containerName: Name, containerId: key },
  );
}

/** A filter that gets one container; names are regular expressions there and may hold dots. */
function filterFor({ containerId, containerName }: EndpointSighting): Query {
  const filter =
    containerId === undefined
      ? { name: [`^/${containerName.replaceAll('.', '\\.')}$`] }
      : { id: [containerId] };
  return { all: 'true', filters: JSON.stringify(filter) };
}

function eventOf(line: string): DockerEvent {
  const { Type = '', Action = '', Actor = {} } = JSON.parse(line) as EventAnswer;
  return { type: Type, action: Action, id: Actor.ID ?? '', attributes: Actor.Attributes ?? {} };
}

async function* linesOf(stream: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const text of stream.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
}

export class DockerClient implements EndpointLookup {
  readonly #docker: Docker;
  readonly #socketPath: string;
  /** Only where labels of images do not count. */
  readonly #imageLabels: ImageLabels | undefined;

  constructor({
    socketPath,
    imageLabels = 'count',
  }: {
    socketPath: string;
    imageLabels?: 'count' | 'ignore';
  }) {
    this.#socketPath = socketPath;
    this.#docker = new Docker({ socketPath });
    const ask = (image: string, signal: AbortSignal) => this.#labelsOfImage(image, signal);
    this.#imageLabels = imageLabels === 'ignore' ? new ImageLabels(ask) : undefined;
  }

  /** Whose endpoint this is; answers inside Join, before the container's process exists. Undefined if Docker does not know it. */
  async identify(
    networkId: string,
    endpointId: string,
    signal: AbortSignal,
  ): Promise<EndpointFacts | undefined> {
    const network = await this.#network(networkId, signal);
    const sighting = network && sightingsOf(network).find((item) => item.endpointId === endpointId);
    if (network === undefined || sighting === undefined) return undefined;
    const container = await this.#container(sighting, signal);
    return container && { networkName: network.Name, container };
  }

  /** All networks of this Docker, whatever their driver. */
  async networks(signal: AbortSignal): Promise<DockerNetwork[]> {
    const networks = (await this.#get('/networks', {}, signal)) as NetworkAnswer[];
    return networks.map(({ Id, Name }) => ({ id: Id, name: Name }));
  }

  /** The endpoints of a network that belong to a container; undefined if Docker has no such network. */
  async endpoints(networkId: string, signal: AbortSignal): Promise<EndpointSighting[] | undefined> {
    const network = await this.#network(networkId, signal);
    return network && sightingsOf(network);
  }

  /** What Docker's networks have in use. */
  async census(signal: AbortSignal): Promise<AddressCensus> {
    const networks = await this.networks(signal);
    const answers = await Promise.all(networks.map(({ id }) => this.#network(id, signal)));
    return censusOf(answers.filter((answer) => answer !== undefined));
  }

  /**
   * Hands on events until the stream ends or `signal` aborts, then resolves or, where it was cut, rejects. Lets go when
   * the socket is taken away: a dockerd that shuts down would wait 5 s for the stream (26, 28).
   */
  async watch(onOpen: () => void, onEvent: (event: DockerEvent) => void, signal: AbortSignal): Promise<void> {
    const query = { filters: JSON.stringify(EVENT_FILTERS) };
    const stream = (await this.#dial('/events', query, signal, true)) as Readable;
    const directory = watch(dirname(this.#socketPath), () => {
      if (!existsSync(this.#socketPath)) stream.destroy();
    });
    try {
      onOpen();
      for await (const line of linesOf(stream)) onEvent(eventOf(line));
    } finally {
      directory.close();
    }
  }

  async #network(id: string, signal: AbortSignal): Promise<NetworkAnswer | undefined> {
    try {
      return (await this.#get(`/networks/${encodeURIComponent(id)}`, {}, signal)) as NetworkAnswer;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async #container(sighting: EndpointSighting, signal: AbortSignal): Promise<Container | undefined> {
    const list = (await this.#get('/containers/json', filterFor(sighting), signal)) as ContainerAnswer[];
    const { containerId, containerName } = sighting;
    const found = list.find(({ Id, Names }) =>
      containerId === undefined ? (Names ?? []).includes(`/${containerName}`) : Id === containerId,
    );
    if (found === undefined) return undefined;
    const networks = Object.keys(found.NetworkSettings?.Networks ?? {}).filter(
      (name) => !NO_NETWORKS.has(name),
    );
    const { Id: id, ImageID = '' } = found;
    const all = found.Labels ?? {};
    const labels = (await this.#imageLabels?.without(all, ImageID, signal)) ?? all;
    return { id, name: containerName, labels, networks };
  }

  /** Answers inside Join too: no container is asked for. */
  async #labelsOfImage(image: string, signal: AbortSignal): Promise<Record<string, string> | undefined> {
    try {
      const answer = (await this.#get(
        `/images/${encodeURIComponent(image)}/json`,
        {},
        signal,
      )) as ImageAnswer;
      return answer.Config?.Labels ?? {};
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  #get(path: string, query: Query, signal: AbortSignal): Promise<unknown> {
    return this.#dial(path, query, signal, false);
  }

  /** By the modem itself: dockerode 5.0.1 drops the abort signal of a network inspect, and a cut answer never calls back. */
  #dial(path: string, query: Query, signal: AbortSignal, isStream: boolean): Promise<unknown> {
    const request = {
      path: `${path}?`,
      method: 'GET',
      options: query,
      abortSignal: signal,
      isStream,
      statusCodes: { 200: true },
    };
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(this.#failure(path, signal.reason));
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      this.#docker.modem.dial(request, (error: unknown, answer: unknown) => {
        signal.removeEventListener('abort', stop);
        if (error === null || error === undefined) resolve(answer);
        else reject(isMissing(error) ? (error as Error) : this.#failure(path, error));
      });
    });
  }

  #failure(path: string, cause: unknown): HostError {
    const text = `ask Docker for ${path}: ${describeError(cause).trim()}`;
    return new HostError('DOCKER_UNREACHABLE', text, {
      retryable: true,
      hint: `is dockerd running, and is ${this.#socketPath} its socket?`,
    });
  }
}
