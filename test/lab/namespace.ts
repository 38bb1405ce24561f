/** One machine of the lab: network and mount namespaces of its own, held by one process until disposed. */
import type { ChildProcess } from 'node:child_process';
import { clear, claimFolder, clearLeftovers } from './leftovers.ts';
import { attempt, background, exitCode, run } from './run.ts';
import type { Result, RunOptions } from './run.ts';

/** A dockerd that scripts/fetch-dockerd unpacked, instead of this machine's own: its files lie over /usr in every lab machine. */
export const DOCKERD = process.env['WEIR_TEST_DOCKERD'] ?? '';

/** Private /run, folders of weir and Docker, one bpffs, forwarding; then hold the namespaces until standard input ends. */
const SETUP = `
  if [ -n "$2" ]; then
    mkdir "$1/usr" "$1/usr.work"
    mount -t overlay overlay -o "lowerdir=$2/usr:/usr,upperdir=$1/usr,workdir=$1/usr.work" /usr
  fi
  mount -t tmpfs tmpfs /run
  mount --make-shared /run # as systemd has it
  mkdir -p /run/docker/plugins /run/netns
  for part in /var/lib/weir /etc/weir /var/lib/docker /var/lib/containerd; do
    mkdir -p "$part" "$1$part"
    mount --bind "$1$part" "$part"
  done
  while mountpoint -q /sys/fs/bpf; do umount /sys/fs/bpf; done
  mount -t bpf bpf /sys/fs/bpf
  ip link set lo up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo held
  exec cat`;

let cleared: Promise<void> | undefined;

export class LabNamespace implements AsyncDisposable {
  readonly name: string;
  /** Files of this machine, outside of it. */
  readonly folder: string;
  /** Process id of the holder: names both namespaces. */
  readonly pid: number;
  readonly #holder: ChildProcess;

  private constructor(name: string, folder: string, holder: ChildProcess) {
    this.name = name;
    this.folder = folder;
    this.#holder = holder;
    this.pid = holder.pid ?? 0;
  }

  static async start(name: string): Promise<LabNamespace> {
    cleared ??= clearLeftovers();
    await cleared;
    const folder = claimFolder(name);
    const holder = background([
      'unshare',
      '--net',
      '--mount',
      '--propagation',
      'slave',
      'bash',
      '-euc',
      SETUP,
      'hold',
      folder,
      DOCKERD,
    ]);
    await new Promise<void>((resolve, reject) => {
      let said = '';
      holder.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
      holder.stdout?.once('data', () => resolve());
      holder.once('exit', () => reject(new Error(`start lab machine ${name}: ${said}`)));
    });
    return new LabNamespace(name, folder, holder);
  }

  /** The command line that runs `command` inside. */
  enter(command: string[]): string[] {
    return ['nsenter', '-t', String(this.pid), '--net', '--mount', '--', ...command];
  }

  /** Runs a command inside; rejects unless it exits with 0; resolves to its trimmed standard output. */
  run(command: string[], options?: RunOptions): Promise<string> {
    return run(this.enter(command), options);
  }

  /** Runs a command inside and never rejects for its exit code. */
  attempt(command: string[], options?: RunOptions): Promise<Result> {
    return attempt(this.enter(command), options);
  }

  /** Starts a command inside that lives until it is ended, at the latest with this machine. */
  background(command: string[]): ChildProcess {
    return background(this.enter(command));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clear(this.folder);
    await exitCode(this.#holder);
  }
}
