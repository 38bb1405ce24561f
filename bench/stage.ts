/** The Docker host on which everything is measured: two bridges, a weir network, one agent, one image. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Family } from '../base/index.ts';
import { LabHost, run, sleep } from './lab.ts';

export const IMAGE = 'bench';

/** Two user-defined bridges, so that the null run crosses as much that is its own as weir does. */
export const NETWORKS = { bridge: 'bench-bridge', again: 'bench-again', weir: 'bench-weir' } as const;

/** What tells Docker's bridges to have IPv6; weir finds addresses itself. */
const SUBNET6 = { bridge: 'fd00:be:1::/64', again: 'fd00:be:2::/64' } as const;

/** A source of the benches: this file runs from dist/bench. */
export function source(name: string): string {
  return fileURLToPath(new URL(`../../bench/${name}`, import.meta.url));
}

export class Stage implements AsyncDisposable {
  readonly host: LabHost;
  /** Path of the traffic program outside of any container. */
  readonly traffic: string;
  /** In which containers talk. */
  readonly family: Family;
  #agentPid = 0;

  private constructor(host: LabHost, family: Family) {
    this.host = host;
    this.family = family;
    this.traffic = join(host.machine.folder, 'traffic');
  }

  static async start(family: Family = 4): Promise<Stage> {
    const stage = new Stage(await LabHost.start({ name: 'bench' }), family);
    try {
      await stage.#prepare();
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  get agentPid(): number {
    return this.#agentPid;
  }

  async #prepare(): Promise<void> {
    const { host } = this;
    await run(['gcc', '-static', '-O2', '-o', this.traffic, source('traffic.c')]);
    await host.image(IMAGE, [this.traffic, 'iperf3']);
    await this.#startAgent();
    const six = this.family === 6;
    for (const name of ['bridge', 'again'] as const) {
      const flags = six ? ['--ipv6', '--subnet', SUBNET6[name]] : [];
      await host.docker('network', 'create', ...flags, NETWORKS[name]);
    }
    const flags = ['--driver', 'weir', '--ipam-driver', 'weir', ...(six ? ['--ipv6'] : [])];
    await host.docker('network', 'create', ...flags, NETWORKS.weir);
  }

  async #startAgent(): Promise<void> {
    const { pid } = await this.host.agent();
    this.#agentPid = pid;
  }

  async restartAgent(): Promise<void> {
    await this.host.killAgent();
    await this.#startAgent();
  }

  /** The title of a report, with the family where it is not the usual one. */
  titled(title: string): string {
    return this.family === 4 ? title : `${title}, IPv6`;
  }

  /** Starts a container on a network and resolves to its address. */
  async start(name: string, network: string, command: string[], labels: string[] = []): Promise<string> {
    const flags = ['--name', name, '--network', network, ...labels.flatMap((label) => ['--label', label])];
    await this.host.docker('run', '-d', ...flags, IMAGE, ...command);
    const field = this.family === 4 ? 'IPAddress' : 'GlobalIPv6Address';
    const format = `{{(index .NetworkSettings.Networks "${network}").${field}}}`;
    return this.host.docker('inspect', '-f', format, name);
  }

  /** Runs a command in a running container and resolves to what it prints. */
  exec(name: string, ...command: string[]): Promise<string> {
    return this.host.docker('exec', name, ...command);
  }

  /** What the traffic program in a running container answers. The caller names the shape. */
  async measure<T>(name: string, ...command: string[]): Promise<T> {
    return JSON.parse(await this.exec(name, 'traffic', ...command)) as T;
  }

  /** Removes all containers, and lets the dust settle. */
  async clear(): Promise<void> {
    const ids = (await this.host.docker('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await this.host.docker('rm', '-f', ...ids);
    await sleep(500);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

/** `one` for each network, by its short name. */
export async function onEachNetwork<T>(
  one: (network: string, name: keyof typeof NETWORKS) => Promise<T>,
): Promise<Record<keyof typeof NETWORKS, T>> {
  return {
    bridge: await one(NETWORKS.bridge, 'bridge'),
    again: await one(NETWORKS.again, 'again'),
    weir: await one(NETWORKS.weir, 'weir'),
  };
}
