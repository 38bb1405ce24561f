/**
 * What no datapath can beat: two network namespaces without Docker, joined by one veth pair, or by two whose host ends
 * hand every packet over by bpf_redirect_peer.
 */
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { exitCode, run } from './lab.ts';
import { source } from './stage.ts';
import type { Stage } from './stage.ts';

export type BareKind = 'veth' | 'redirect';

const SERVER = '10.99.0.1';
const CLIENT = '10.99.0.2';
const MACS = { server: '02:00:00:00:99:01', client: '02:00:00:00:99:02' };

export class Bare implements AsyncDisposable {
  readonly address = SERVER;
  readonly #stage: Stage;
  readonly #kind: BareKind;
  readonly #servers: ChildProcess[] = [];

  private constructor(stage: Stage, kind: BareKind) {
    this.#stage = stage;
    this.#kind = kind;
  }

  static async start(stage: Stage, kind: BareKind): Promise<Bare> {
    const bare = new Bare(stage, kind);
    const { server, client } = bare.#spaces;
    for (const space of [server, client]) {
      await bare.#ip('netns', 'add', space);
      await bare.#ip('-n', space, 'link', 'set', 'lo', 'up');
    }
    await (kind === 'veth' ? bare.#joinDirectly() : bare.#joinByRedirect());
    await bare.#setUp(server, MACS.server, SERVER);
    await bare.#setUp(client, MACS.client, CLIENT);
    await bare.#ip(
      '-n',
      server,
      'neigh',
      'add',
      CLIENT,
      'lladdr',
      MACS.client,
      'dev',
      'eth0',
      'nud',
      'permanent',
    );
    await bare.#ip(
      '-n',
      client,
      'neigh',
      'add',
      SERVER,
      'lladdr',
      MACS.server,
      'dev',
      'eth0',
      'nud',
      'permanent',
    );
    return bare;
  }

  /** Starts a server at `address` that runs until this is disposed. */
  serve(command: string[]): void {
    this.#servers.push(this.#stage.host.machine.background(this.#within(this.#spaces.server, command)));
  }

  /** Runs a command at the other end. */
  exec(command: string[]): Promise<string> {
    return this.#stage.host.run(this.#within(this.#spaces.client, command));
  }

  get #spaces(): { server: string; client: string } {
    return { server: `${this.#kind}-server`, client: `${this.#kind}-client` };
  }

  #within(space: string, command: string[]): string[] {
    return ['ip', 'netns', 'exec', space, ...command];
  }

  #ip(...command: string[]): Promise<string> {
    return this.#stage.host.run(['ip', ...command]);
  }

  async #joinDirectly(): Promise<void> {
    const { server, client } = this.#spaces;
    const peer = ['peer', 'name', 'eth0', 'netns', client];
    await this.#ip('link', 'add', 'eth0', 'netns', server, 'type', 'veth', ...peer);
  }

  async #joinByRedirect(): Promise<void> {
    const ends = Object.values(this.#spaces).map((space, index) => ({ space, name: `bare${index}` }));
    for (const { space, name } of ends) {
      await this.#ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      await this.#ip('link', 'set', name, 'up');
    }
    const [first = '', second = ''] = ends.map(({ name }) => name);
    await this.#redirect(first, second);
    await this.#redirect(second, first);
  }

  async #redirect(from: string, to: string): Promise<void> {
    const { host } = this.#stage;
    const [{ ifindex } = { ifindex: 0 }] = JSON.parse(await this.#ip('-j', 'link', 'show', to)) as {
      ifindex: number;
    }[];
    const object = join(host.machine.folder, `${from}.o`);
    const include = `-I/usr/include/${await run(['uname', '-m'])}-linux-gnu`;
    const flags = ['-O2', '-g', '-target', 'bpf', include, `-DTARGET=${ifindex}`];
    await run(['clang-14', ...flags, '-c', source('redirect.bpf.c'), '-o', object]);
    await host.run(['tc', 'qdisc', 'add', 'dev', from, 'clsact']);
    await host.run([
      'tc',
      'filter',
      'add',
      'dev',
      from,
      'ingress',
      'bpf',
      'da',
      'obj',
      object,
      'sec',
      'classifier',
    ]);
  }

  async #setUp(space: string, mac: string, address: string): Promise<void> {
    await this.#ip('-n', space, 'link', 'set', 'eth0', 'address', mac);
    await this.#ip('-n', space, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    await this.#ip('-n', space, 'link', 'set', 'eth0', 'up');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.kill('SIGKILL');
      await exitCode(server);
    }
    for (const space of Object.values(this.#spaces)) await this.#ip('netns', 'del', space);
  }
}
