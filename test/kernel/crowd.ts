/** An agent as a process with as many endpoints as one likes: driver calls as Docker makes them, sandboxes that nobody opens. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { Agent as Connections, createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { api } from '../../base/index.ts';
import { Netlink } from '../../kernel/index.ts';
import { scratchBpffs } from './scratch.ts';

const MAIN = fileURLToPath(new URL('../../agent/main.js', import.meta.url));
const NAME = 'crowd';
/** Room for four thousand. */
const PREFIX_LENGTH = '20';

function idOf(what: string): string {
  return createHash('sha256').update(what).digest('hex');
}

export interface Member {
  endpointId: string;
  containerId: string;
  name: string;
  labels: Record<string, string>;
  address: string;
}

/** What grows when somebody forgets something. */
export interface Footprint {
  fds: number;
  rssMb: number;
  links: number;
  routes: number;
  rules: number;
  pins: number;
  identities: number;
  addresses: number;
  maps: Record<string, string>;
  storeMb: number;
}

export class Crowd implements AsyncDisposable {
  readonly networkId = idOf(NAME);
  readonly #bpffs = scratchBpffs();
  readonly #folder = mkdtempSync(join(tmpdir(), 'weir-crowd-'));
  readonly #members = new Map<string, Member>();
  readonly #docker: Server;
  readonly #connections = new Connections({ keepAlive: true });
  #agent: ChildProcess | undefined;
  #poolId = '';

  constructor() {
    this.#docker = createServer((asked, answer) => this.#answer(asked, answer));
    this.#docker.listen(join(this.#folder, 'docker.sock'));
  }

  /** Starts the agent; resolves to how many milliseconds it took until it was ready. */
  async start(): Promise<number> {
    const places = ['--state-dir', join(this.#folder, 'state'), '--run-dir', join(this.#folder, 'run')];
    const sockets = ['--plugin-socket', this.#plugin, '--docker-socket', join(this.#folder, 'docker.sock')];
    const settings = ['--bpffs', this.#bpffs.path, '--node-prefix-length', PREFIX_LENGTH];
    const from = performance.now();
    const agent = spawn(
      process.execPath,
      ['--max-semi-space-size=2', MAIN, 'agent', ...places, ...sockets, ...settings],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    this.#agent = agent;
    const [said] = (await Promise.race([once(agent.stdout, 'data'), once(agent, 'exit')])) as [unknown];
    if (!String(said).includes('ready')) throw new Error(`the agent ended with ${String(said)}`);
    return performance.now() - from;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.#agent === undefined) return;
    const ended = once(this.#agent, 'exit');
    this.#agent.kill(signal);
    await ended;
    this.#agent = undefined;
  }

  async createNetwork(): Promise<void> {
    const pool = await this.#plug('IpamDriver.RequestPool', { AddressSpace: 'local', Pool: '', V6: false });
    this.#poolId = String(pool['PoolID']);
    const data = [{ AddressSpace: 'local', Pool: pool['Pool'], Gateway: '' }];
    const network = { NetworkID: this.networkId, Options: {}, IPv4Data: data, IPv6Data: [] };
    await this.#plug('NetworkDriver.CreateNetwork', network);
  }

  /** As `docker run` does it. */
  async join(number: number, labels: Record<string, string>): Promise<Member> {
    const given = await this.#plug('IpamDriver.RequestAddress', {
      PoolID: this.#poolId,
      Address: '',
      Options: {},
    });
    const [endpointId, containerId] = [idOf(`endpoint ${number}`), idOf(`container ${number}`)];
    const member = { endpointId, containerId, name: `c${number}`, labels, address: String(given['Address']) };
    const endpoint = { NetworkID: this.networkId, EndpointID: endpointId, Options: {} };
    const face = { Address: member.address, AddressIPv6: '', MacAddress: '' };
    await this.#plug('NetworkDriver.CreateEndpoint', { ...endpoint, Interface: face });
    this.#members.set(endpointId, member);
    await this.#plug('NetworkDriver.Join', { ...endpoint, SandboxKey: `/var/run/docker/netns/${number}` });
    return member;
  }

  /** As `docker rm` does it. */
  async leave({ endpointId, address }: Member): Promise<void> {
    const endpoint = { NetworkID: this.networkId, EndpointID: endpointId };
    await this.#plug('NetworkDriver.Leave', endpoint);
    this.#members.delete(endpointId);
    await this.#plug('NetworkDriver.DeleteEndpoint', endpoint);
    const [Address] = address.split('/');
    await this.#plug('IpamDriver.ReleaseAddress', { PoolID: this.#poolId, Address });
  }

  /** A call of the agent's own API. */
  ask<T>(path: string, body?: unknown, method = body === undefined ? 'GET' : 'PUT'): Promise<T> {
    return this.#call(join(this.#folder, 'run', 'weir.sock'), path, { method, body }) as Promise<T>;
  }

  async footprint(): Promise<Footprint> {
    const netlink = Netlink.open();
    const { components } = await this.ask<api.Status>('/v1/status');
    const files = readdirSync(join(this.#folder, 'state')).map((name) => join(this.#folder, 'state', name));
    const proc = `/proc/${this.#agent?.pid}`;
    const pools = await this.ask<api.Pool[]>('/v1/ipam');
    try {
      return {
        fds: readdirSync(`${proc}/fd`).length,
        rssMb: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]) / 1024,
        links: netlink.links().length,
        routes: netlink.routes().length,
        rules: netlink.rules(4).length,
        pins: execFileSync('find', [this.#bpffs.path], { encoding: 'utf8' }).split('\n').length,
        identities: (await this.ask<unknown[]>('/v1/identities')).length,
        addresses: pools.reduce((sum, { allocated }) => sum + allocated, 0),
        maps: (components['maps']?.details ?? {}) as Record<string, string>,
        storeMb: files.reduce((sum, file) => sum + statSync(file).size, 0) / 2 ** 20,
      };
    } finally {
      netlink.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    this.#connections.destroy();
    this.#docker.closeAllConnections();
    this.#docker.close();
    this.#bpffs[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true });
  }

  get #plugin(): string {
    return join(this.#folder, 'plugin.sock');
  }

  async #plug(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await this.#call(this.#plugin, `/${path}`, { method: 'POST', body });
    const said = answer as Record<string, unknown>;
    if (said['Err']) throw new Error(`${path}: ${String(said['Err'])}`);
    return said;
  }

  async #call(
    socketPath: string,
    path: string,
    { method, body }: { method: string; body?: unknown },
  ): Promise<unknown> {
    const headers = { 'content-type': 'application/json' };
    const asked = request({ socketPath, path, method, headers, agent: this.#connections });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return JSON.parse(await text(answer));
  }

  /** Docker, as far as the agent asks it. */
  #answer({ url = '' }: IncomingMessage, answer: ServerResponse): void {
    const path = url.replace(/^\/v[\d.]+/, '').replace(/\?.*$/, '');
    const members = [...this.#members.values()];
    const send = (body: unknown): void => void answer.end(JSON.stringify(body));
    answer.setHeader('content-type', 'application/json');
    if (path === '/events') answer.flushHeaders();
    else if (path === '/networks') send([{ Id: this.networkId, Name: NAME }]);
    else if (path === '/containers/json') {
      const { id = [] } = JSON.parse(new URL(url, 'http://docker').searchParams.get('filters') ?? '{}') as {
        id?: string[];
      };
      const wanted =
        id.length === 0 ? members : members.filter(({ containerId }) => id.includes(containerId));
      send(
        wanted.map(({ containerId: Id, name, labels: Labels }) => {
          return { Id, Names: [`/${name}`], Labels, NetworkSettings: { Networks: { [NAME]: {} } } };
        }),
      );
    } else if (path === `/networks/${this.networkId}`) {
      const containers = members.map(({ containerId, name, endpointId, address }) => {
        return [containerId, { Name: name, EndpointID: endpointId, IPv4Address: address }];
      });
      send({
        Id: this.networkId,
        Name: NAME,
        Driver: 'weir',
        Containers: Object.fromEntries(containers) as object,
      });
    } else {
      answer.statusCode = 404;
      send({ message: `nothing at ${path}` });
    }
  }
}
