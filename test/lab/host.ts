/** A private Docker host on this machine: own namespaces, own dockerd, and weir's agent when a test starts it. */
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentPlugin } from './agent-plugin.ts';
import { AgentProcess } from './agent-process.ts';
import { PLUGIN_FOLDER } from './driver.ts';
import { importImage } from './image.ts';
import type { Lan } from './lan.ts';
import { DOCKERD, LabNamespace } from './namespace.ts';
import { exitCode, until } from './run.ts';
import type { Result, RunOptions } from './run.ts';

export interface HostOptions {
  name: string;
  /** Put the host's eth0 on this segment, with these addresses (as in 192.168.77.1/24) and routers. */
  lan?: { segment: Lan; address: string; gateway?: string; address6?: string; gateway6?: string };
  dockerdFlags?: string[];
}

/** `weir agent`, however it runs. */
interface LabAgent {
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** What it said last. */
  tail(): string;
}

/** The checkout: this file runs from dist/test/lab. */
export const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
export const WEIR = join(CHECKOUT, 'bin/weir');

export class LabHost implements AsyncDisposable {
  readonly machine: LabNamespace;
  #dockerd: ChildProcess | undefined;
  readonly #plugin = new AgentPlugin(this);
  #agent: LabAgent | undefined;

  private constructor(machine: LabNamespace) {
    this.machine = machine;
  }

  /** Starts the host and its dockerd; ends both again when anything fails. */
  static async start(options: HostOptions): Promise<LabHost> {
    const host = new LabHost(await LabNamespace.start(options.name));
    try {
      if (options.lan !== undefined) await host.#join(options.lan);
      await host.startDockerd(options.dockerdFlags);
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
    return host;
  }

  /** dockerd's socket as seen from outside of the host. */
  get dockerSocket(): string {
    return join(this.machine.folder, 'docker.sock');
  }

  async #join(lan: NonNullable<HostOptions['lan']>): Promise<void> {
    const { segment, address, address6, gateway, gateway6 } = lan;
    await segment.attach(this.machine, 'eth0', address, ...(address6 === undefined ? [] : [address6]));
    for (const router of [gateway, gateway6])
      if (router !== undefined) await this.run(['ip', 'route', 'add', 'default', 'via', router]);
  }

  /** Runs a command inside the host; rejects unless it exits with 0. */
  run(command: string[], options?: RunOptions): Promise<string> {
    return this.machine.run(command, options);
  }

  attempt(command: string[], options?: RunOptions): Promise<Result> {
    return this.machine.attempt(command, options);
  }

  docker(...command: string[]): Promise<string> {
    return this.run([...this.#client(), ...command]);
  }

  attemptDocker(...command: string[]): Promise<Result> {
    return this.attempt([...this.#client(), ...command]);
  }

  /** Compose 2 where it came with the dockerd, else this machine's own; containers are named as version 1 does it. */
  compose(...command: string[]): Promise<string> {
    const own = DOCKERD === '' ? 'docker-compose' : '/usr/libexec/docker/cli-plugins/docker-compose';
    const env = { DOCKER_HOST: `unix://${this.dockerSocket}`, COMPOSE_COMPATIBILITY: 'true' };
    return this.run([own, ...command], { env });
  }

  /** 20, 26, 28 and so on. */
  async dockerdMajor(): Promise<number> {
    return Number.parseInt(await this.docker('version', '--format', '{{.Server.Version}}'), 10);
  }

  /** The client that came with the dockerd: not another one that may come first on the PATH. */
  #client(): string[] {
    return [DOCKERD === '' ? 'docker' : '/usr/bin/docker', '-H', `unix://${this.dockerSocket}`];
  }

  weir(...command: string[]): Promise<string> {
    return this.run([WEIR, ...command]);
  }

  attemptWeir(...command: string[]): Promise<Result> {
    return this.attempt([WEIR, ...command]);
  }

  /** The answer of a `weir` command that knows `-o json`. The caller names the shape. */
  async weirJson<T>(...command: string[]): Promise<T> {
    return JSON.parse(await this.weir(...command, '-o', 'json')) as T;
  }

  /** Builds and imports an image of busybox, curl and `binaries` (names on the PATH, or paths). */
  image(name: string, binaries: string[] = []): Promise<void> {
    return importImage(this.machine.folder, name, binaries);
  }

  /** Starts `weir agent`, as a process or a plugin, and waits until it is ready. */
  async agent(flags: string[] = []): Promise<LabAgent> {
    if (PLUGIN_FOLDER !== '') return (this.#agent = await this.#plugin.start(flags));
    const agent = this.spawnAgent(flags);
    await agent.ready();
    return agent;
  }

  /** Starts `weir agent` as a process, without waiting: a test may kill it on its way up. */
  spawnAgent(flags: string[] = []): AgentProcess {
    const agent = new AgentProcess(this.machine.background([WEIR, 'agent', ...flags]));
    this.#agent = agent;
    return agent;
  }

  /** Where dockerd calls the agent, as seen in the host: a plugin has a folder of its own there. */
  pluginSocket(): Promise<string> {
    return this.run(['find', '/run/docker/plugins', '-name', 'weir.sock']);
  }

  /** SIGKILLs the agent that was started last; a plugin is started again by dockerd. */
  async killAgent(): Promise<void> {
    await this.#agent?.kill();
  }

  async startDockerd(flags: string[] = []): Promise<void> {
    const { folder } = this.machine;
    const files = [
      '--data-root',
      join(folder, 'data'),
      '--exec-root',
      '/run/docker',
      '--pidfile',
      join(folder, 'docker.pid'),
    ];
    const groups = [
      '--exec-opt',
      'native.cgroupdriver=cgroupfs',
      '--cgroup-parent',
      `/${folder.split('/').at(-1)}`,
    ];
    const sockets = ['-H', `unix://${this.dockerSocket}`, '-H', 'unix:///run/docker.sock'];
    const child = this.machine.background(['dockerd', ...files, ...groups, ...sockets, ...flags]);
    const log = createWriteStream(join(folder, 'dockerd.log'), { flags: 'a' });
    child.stderr?.pipe(log);
    child.stdout?.resume();
    this.#dockerd = child;
    await until(
      'dockerd answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`dockerd ended:\n${this.dockerdLog()}`);
        return (await this.attemptDocker('version')).code === 0;
      },
      90_000,
    );
  }

  /** Graceful: dockerd ends its containers first, unless it was started with --live-restore. */
  stopDockerd(): Promise<void> {
    return this.#endDockerd('SIGTERM');
  }

  /** SIGKILL: its containers go on. Its containerd dies with it, and the next dockerd needs that to be over. */
  async killDockerd(): Promise<void> {
    const file = `/proc/${this.machine.pid}/root/run/docker/containerd/containerd.pid`;
    const containerd = readFileSync(file, 'utf8').trim();
    await this.#endDockerd('SIGKILL');
    await until('containerd is reaped', async () => !existsSync(`/proc/${containerd}`));
  }

  async #endDockerd(signal: NodeJS.Signals): Promise<void> {
    const child = this.#dockerd;
    if (child === undefined) return;
    const ended = exitCode(child);
    child.kill(signal);
    await ended;
  }

  dockerdLog(lines = 15): string {
    return readFileSync(join(this.machine.folder, 'dockerd.log'), 'utf8')
      .split('\n')
      .slice(-lines)
      .join('\n');
  }

  /** What the agent said last, for the report of a failed test. */
  agentLog(): string {
    return this.#agent?.tail() ?? 'no agent was started';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}
