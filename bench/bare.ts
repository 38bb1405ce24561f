/**
 * What no datapath can beat: two containers as they are on the bridge, with a second interface each that is one end of a
 * veth pair, or whose host end hands every packet over by bpf_redirect_peer.
 */
import { join } from 'node:path';
import { run } from './lab.ts';
import { NETWORKS, source } from './stage.ts';
import type { Stage } from './stage.ts';

const INTERFACE = 'bare0';

export type BareKind = 'veth' | 'redirect';

interface End {
  container: string;
  pid: string;
  address: string;
  mac: string;
  /** The host's end, where there are two pairs. */
  device: string;
}

export class Bare {
  readonly address: string;
  readonly client: string;

  private constructor({ address }: End, { container }: End) {
    this.address = address;
    this.client = container;
  }

  /** Starts a container with that server and one that can reach it; they are there until the stage is cleared. */
  static async start(stage: Stage, kind: BareKind, server: string[]): Promise<Bare> {
    const ends: [End, End] = [
      await startEnd(stage, `${kind}-server`, 1, server),
      await startEnd(stage, `${kind}-client`, 2, ['sleep', '1d']),
    ];
    await (kind === 'veth' ? joinDirectly(stage, ends) : joinByRedirect(stage, ends));
    for (const [index, end] of ends.entries()) await setUp(stage, end, ends[1 - index] ?? end);
    return new Bare(...ends);
  }
}

async function startEnd(stage: Stage, container: string, number: number, command: string[]): Promise<End> {
  await stage.start(container, NETWORKS.bridge, command);
  const pid = await stage.host.docker('inspect', '-f', '{{.State.Pid}}', container);
  return {
    container,
    pid,
    address: stage.family === 4 ? `10.99.0.${number}` : `fd00:99::${number}`,
    mac: `02:00:00:00:99:0${number}`,
    device: `host${number}`,
  };
}

async function joinDirectly({ host }: Stage, [server, client]: [End, End]): Promise<void> {
  const peer = ['peer', 'name', INTERFACE, 'netns', client.pid];
  await host.run(['ip', 'link', 'add', INTERFACE, 'netns', server.pid, 'type', 'veth', ...peer]);
}

async function joinByRedirect(stage: Stage, ends: [End, End]): Promise<void> {
  for (const { device, pid } of ends) {
    await stage.host.run([
      'ip',
      'link',
      'add',
      device,
      'type',
      'veth',
      'peer',
      'name',
      INTERFACE,
      'netns',
      pid,
    ]);
    await stage.host.run(['ip', 'link', 'set', device, 'up']);
  }
  const [server, client] = ends;
  await redirect(stage, server.device, client.device);
  await redirect(stage, client.device, server.device);
}

async function redirect({ host }: Stage, from: string, to: string): Promise<void> {
  const [link] = JSON.parse(await host.run(['ip', '-j', 'link', 'show', to])) as { ifindex: number }[];
  const object = join(host.machine.folder, `${from}.o`);
  const include = `-I/usr/include/${await run(['uname', '-m'])}-linux-gnu`;
  const flags = ['-O2', '-g', '-target', 'bpf', include, `-DTARGET=${link?.ifindex}`];
  await run(['clang-14', ...flags, '-c', source('redirect.bpf.c'), '-o', object]);
  const filter = ['ingress', 'bpf', 'da', 'obj', object, 'sec', 'classifier'];
  await host.run(['tc', 'qdisc', 'add', 'dev', from, 'clsact']);
  await host.run(['tc', 'filter', 'add', 'dev', from, ...filter]);
}

async function setUp({ host }: Stage, { pid, mac, address }: End, other: End): Promise<void> {
  const inside = (...command: string[]): Promise<string> =>
    host.run(['nsenter', '-t', pid, '-n', ...command]);
  const ip = (...command: string[]): Promise<string> => inside('ip', ...command);
  await ip('link', 'set', INTERFACE, 'address', mac);
  if (address.includes(':')) {
    // dockerd switches it off for whatever is not its own
    await inside('sh', '-c', `echo 0 >/proc/sys/net/ipv6/conf/${INTERFACE}/disable_ipv6`);
    await ip('addr', 'add', `${address}/64`, 'dev', INTERFACE, 'nodad');
  } else {
    await ip('addr', 'add', `${address}/24`, 'dev', INTERFACE);
  }
  await ip('link', 'set', INTERFACE, 'up');
  await ip('neigh', 'add', other.address, 'lladdr', other.mac, 'dev', INTERFACE, 'nud', 'permanent');
}
