/** A network namespace with the container side of an endpoint in it, as Docker would have made it. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import type { Attachment, EndpointSpec } from '../../datapath/index.ts';

const PATIENCE_S = 2;

export class Sandbox implements AsyncDisposable {
  readonly #holder: ChildProcess;
  readonly #inside: ChildProcess[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  /** An empty one. */
  static async open(): Promise<Sandbox> {
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo up; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    return new Sandbox(holder);
  }

  static async of(made: Attachment, { ipv4 = '', network }: EndpointSpec): Promise<Sandbox> {
    const sandbox = await Sandbox.open();
    const gateway = network.gateway4 ?? '';
    sandbox.take(made.containerInterface);
    sandbox.ip('address', 'add', `${ipv4}/32`, 'dev', 'eth0');
    sandbox.ip('route', 'add', gateway, 'dev', 'eth0', 'scope', 'link');
    sandbox.ip('route', 'add', 'default', 'via', gateway);
    return sandbox;
  }

  /** Moves a device of this namespace in, as an eth0 that is up. */
  take(device: string): void {
    const { status, stderr } = spawnSync('ip', ['link', 'set', device, 'netns', String(this.#holder.pid)], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`move ${device}: ${stderr}`);
    this.ip('link', 'set', device, 'name', 'eth0');
    this.ip('link', 'set', 'eth0', 'up');
  }

  ip(...args: string[]): void {
    const { status, stderr } = this.run(['ip', ...args]);
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
  }

  run([command = '', ...args]: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync('nsenter', [...this.#entry, command, ...args], { encoding: 'utf8' });
  }

  /** A process that lives inside until it ends or is ended; it ends with the sandbox at the latest. */
  start([command = '', ...args]: string[], stdio: StdioOptions = 'ignore'): ChildProcess {
    const process = spawn('nsenter', [...this.#entry, command, ...args], { stdio });
    this.#inside.push(process);
    return process;
  }

  /** Sends back whatever comes. */
  serve(port: number): void {
    this.start(['busybox', 'nc', '-ll', '-p', String(port), '-e', 'cat']);
  }

  /** What comes back of a line that is sent there; undefined where nothing does. */
  ask(address: string, port: number): string | undefined {
    const script = 'exec 3<>"/dev/tcp/$0/$1" && echo hello >&3 && read -r line <&3 && echo "$line"';
    const ask = ['timeout', String(PATIENCE_S), 'bash', '-c', script, address, String(port)];
    const { status, stdout } = this.run(ask);
    return status === 0 ? stdout.trim() : undefined;
  }

  pings(address: string): boolean {
    return this.run(['busybox', 'ping', '-c', '1', '-W', String(PATIENCE_S), address]).status === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [...this.#inside, this.#holder]) {
      if (process.exitCode !== null || process.signalCode !== null) continue;
      const ended = once(process, 'exit');
      process.kill('SIGKILL');
      await ended;
    }
  }

  get #entry(): string[] {
    return ['-t', String(this.#holder.pid), '--net', '--'];
  }
}
