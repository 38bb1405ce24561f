/** TCP connections per second, one after the other, both ends on one CPU; on weir with a policy that selects the server. */
import { setPolicy } from './lab.ts';
import { compare, paired } from './paired.ts';
import type { Report } from './report.ts';
import { onEachNetwork } from './stage.ts';
import type { Stage } from './stage.ts';

const CPU = '1';
const PORT = '7000';
const MS = '700';

const POLICY = [
  {
    endpointSelector: { matchLabels: { role: 'server' } },
    ingress: [
      {
        fromEndpoints: [{ matchLabels: { role: 'client' } }],
        toPorts: [{ ports: [{ port: PORT, protocol: 'TCP' }] }],
      },
    ],
  },
];

export async function connectRate(stage: Stage, rounds: number): Promise<Report> {
  const addresses = await onEachNetwork(async (network, name) => {
    await stage.start(`client-${name}`, network, ['sleep', '1d'], ['role=client']);
    return stage.start(`server-${name}`, network, ['traffic', 'accept', CPU, PORT], ['role=server']);
  });
  await setPolicy(stage.host, POLICY);
  const rate = async (name: keyof typeof addresses): Promise<number> => {
    const command = ['connect', CPU, addresses[name], PORT, MS];
    return (await stage.measure<{ perSecond: number }>(`client-${name}`, ...command)).perSecond;
  };
  const results = await paired(rounds, {
    bridge: () => rate('bridge'),
    weir: () => rate('weir'),
    again: () => rate('again'),
  });
  await setPolicy(stage.host, []);
  const rates = { what: 'connections, policy enforced', unit: '/s', bar: { atLeast: 1 } };
  return {
    title: stage.titled('TCP connect rate'),
    ratios: [compare(rates, results.weir, { base: results.bridge, again: results.again })],
  };
}
