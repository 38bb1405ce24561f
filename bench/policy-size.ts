/** What 10,000 policy entries of the server's identity cost a packet, against 10. */
import type { api, Family } from '../base/index.ts';
import { ask, setPolicy } from './lab.ts';
import { compare, paired } from './paired.ts';
import type { Report } from './report.ts';
import { NETWORKS } from './stage.ts';
import type { Stage } from './stage.ts';

const CPU = '1';
const PORTS = { echo: 7000, accept: 7001 };
const MS = '700';
const BAR = { atMost: 1.03 };

/** Half of the entries are further ports of the very peer that connects, half are ports of address ranges. */
function policy(entries: number, family: Family): unknown[] {
  const ranges = Math.sqrt(entries / 2);
  const cidr = (index: number): string => (family === 4 ? `172.31.${index}.0/24` : `2001:db8:${index}::/48`);
  const cidrs = Array.from({ length: ranges }, (_, index) => cidr(index));
  return [
    {
      endpointSelector: { matchLabels: { role: 'server' } },
      ingress: [
        { fromEndpoints: [{ matchLabels: { role: 'client' } }], toPorts: [{ ports: ports(entries / 2) }] },
        { fromCIDR: cidrs, toPorts: [{ ports: ports(ranges) }] },
      ],
    },
  ];
}

/** Odd ports from the ones in use on: two neighbours would fold into one entry. */
function ports(count: number): { port: string; protocol: string }[] {
  const used = Object.values(PORTS);
  const more = Array.from(
    { length: Math.max(0, Math.floor(count) - used.length) },
    (_, index) => 8001 + 2 * index,
  );
  return [...used, ...more].map((port) => ({ port: String(port), protocol: 'TCP' }));
}

export async function policySize(stage: Stage, rounds: number): Promise<Report> {
  const { host } = stage;
  const network = NETWORKS.weir;
  await stage.start('client', network, ['sleep', '1d'], ['role=client']);
  const echo = await stage.start(
    'echo',
    network,
    ['traffic', 'echo', CPU, String(PORTS.echo)],
    ['role=server'],
  );
  const accept = ['traffic', 'accept', CPU, String(PORTS.accept)];
  const accepting = await stage.start('accept', network, accept, ['role=server']);
  const counts = { ten: 0, again: 0, thousands: 0 };
  const costs = { ten: [] as number[], again: [] as number[], thousands: [] as number[] };
  const once = async (name: keyof typeof counts, entries: number): Promise<number> => {
    await setPolicy(host, policy(entries, stage.family));
    counts[name] = await countEntries(stage);
    const { p50 } = await stage.measure<{ p50: number }>('client', 'rr', CPU, echo, String(PORTS.echo), MS);
    const connects = ['connect', CPU, accepting, String(PORTS.accept), MS];
    const { perSecond } = await stage.measure<{ perSecond: number }>('client', ...connects);
    costs[name].push(1e6 / perSecond);
    return p50 / 1000;
  };
  const roundTrips = await paired(rounds, {
    ten: () => once('ten', 10),
    thousands: () => once('thousands', 10_000),
    again: () => once('again', 10),
  });
  await setPolicy(host, []);
  for (const values of Object.values(costs)) values.shift(); // the round that does not count
  const sides: [string, string] = [`${counts.ten} entries`, `${counts.thousands} entries`];
  const { ten, again, thousands } = roundTrips;
  return {
    title: stage.titled('Size of the policy'),
    sides,
    ratios: [
      compare({ what: 'median round trip', unit: 'µs', bar: BAR }, thousands, { base: ten, again }),
      compare({ what: 'one connection', unit: 'µs', bar: BAR }, costs.thousands, {
        base: costs.ten,
        again: costs.again,
      }),
    ],
  };
}

/** Entries of the server's identity, as they are in the map. */
async function countEntries({ host }: Stage): Promise<number> {
  const identities = await ask<api.Identity[]>(host, '/v1/identities');
  const server = identities.find(({ labels }) => labels.includes('container:role=server'));
  const entries = await ask<api.BpfPolicyEntry[]>(host, '/v1/bpf/policy');
  return entries.filter(({ identity }) => identity === server?.id).length;
}
