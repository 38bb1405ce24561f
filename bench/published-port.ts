/**
 * Published ports: from another machine against Docker's DNAT, and from the host by 127.0.0.1 against docker-proxy. Client
 * and server are on one CPU, so that the way the packets take sets the pace.
 */
import { Lan } from './lab.ts';
import type { LabNamespace } from './lab.ts';
import { compare, paired } from './paired.ts';
import type { RatioRow, Report } from './report.ts';
import { IMAGE, NETWORKS } from './stage.ts';
import type { Stage } from './stage.ts';

const CPU = '1';
const MS = '700';
const SECONDS = '1';
const NS_PER_US = 1000;
const BITS_PER_GBIT = 1e9;
const HOST = '192.168.77.1';
const OUTSIDE = '192.168.77.2';

/** What is behind a port, and the port inside. */
const SERVERS = {
  echo: ['traffic', 'echo', CPU, '7000'],
  accept: ['traffic', 'accept', CPU, '7000'],
  stream: ['iperf3', '-s', '-p', '7000'],
} as const;

type Network = keyof typeof NETWORKS;
type Server = keyof typeof SERVERS;

/** A port for each server on each network. */
function portOf(network: Network, server: Server): string {
  const networks = Object.keys(NETWORKS) as Network[];
  const servers = Object.keys(SERVERS) as Server[];
  return String(7100 + 10 * servers.indexOf(server) + networks.indexOf(network));
}

async function startServers({ host }: Stage): Promise<void> {
  for (const [name, network] of Object.entries(NETWORKS) as [Network, string][]) {
    for (const [server, command] of Object.entries(SERVERS) as [Server, readonly string[]][]) {
      const port = ['-p', `${portOf(name, server)}:7000`];
      await host.docker(
        'run',
        '-d',
        '--name',
        `${server}-${name}`,
        '--network',
        network,
        ...port,
        IMAGE,
        ...command,
      );
    }
  }
}

interface Client {
  /** How it is called in the table. */
  what: string;
  address: string;
  run: (command: string[]) => Promise<string>;
}

async function measure(client: Client, rounds: number, stage: Stage): Promise<RatioRow[]> {
  const { address, run, what } = client;
  const traffic = async <T>(kind: string, port: string): Promise<T> =>
    JSON.parse(await run([stage.traffic, kind, CPU, address, port, MS])) as T;
  const kinds: { what: string; unit: string; of: (network: Network) => Promise<number> }[] = [
    {
      what: 'round trip of one byte',
      unit: 'µs',
      of: async (network) => (await traffic<{ p50: number }>('rr', portOf(network, 'echo'))).p50 / NS_PER_US,
    },
    {
      what: 'connections',
      unit: '/s',
      of: async (network) =>
        (await traffic<{ perSecond: number }>('connect', portOf(network, 'accept'))).perSecond,
    },
    {
      what: 'stream',
      unit: 'Gbit/s',
      of: async (network) => {
        const to = [
          '-c',
          address,
          '-p',
          portOf(network, 'stream'),
          '-t',
          SECONDS,
          '-A',
          `${CPU},${CPU}`,
          '-J',
        ];
        const { end } = JSON.parse(await run(['iperf3', ...to])) as {
          end: { sum_received: { bits_per_second: number } };
        };
        return end.sum_received.bits_per_second / BITS_PER_GBIT;
      },
    },
  ];
  const rows: RatioRow[] = [];
  for (const { what: kind, unit, of } of kinds) {
    const results = await paired(rounds, {
      bridge: () => of('bridge'),
      weir: () => of('weir'),
      again: () => of('again'),
    });
    rows.push(
      compare({ what: `${what}: ${kind}`, unit }, results.weir, {
        base: results.bridge,
        again: results.again,
      }),
    );
  }
  return rows;
}

/** Gives the host an uplink for as long as the bench runs. */
export async function publishedPort(stage: Stage, rounds: number): Promise<Report> {
  const { machine } = stage.host;
  await using lan = await Lan.start('bench-lan');
  const outside: LabNamespace = await lan.neighbour('bench-outside', `${OUTSIDE}/24`);
  await lan.attach(machine, `${HOST}/24`);
  await machine.run(['ip', 'route', 'add', 'default', 'via', OUTSIDE]);
  await startServers(stage);
  const clients: Client[] = [
    { what: 'from outside', address: HOST, run: (command) => outside.run(command) },
    { what: 'from the host', address: '127.0.0.1', run: (command) => machine.run(command) },
  ];
  const ratios: RatioRow[] = [];
  for (const client of clients) ratios.push(...(await measure(client, rounds, stage)));
  return { title: 'Published ports', sides: ['Docker', 'weir'], ratios };
}
