/** One byte there and back over TCP, both ends on one CPU: the median round trip, and what the bare kernel needs. */
import { Bare } from './bare.ts';
import { compare, paired } from './paired.ts';
import type { Report } from './report.ts';
import { onEachNetwork } from './stage.ts';
import type { Stage } from './stage.ts';

const CPU = '1';
const PORT = '7000';
const MS = '700';
const NS_PER_US = 1000;

export async function roundTrip(stage: Stage, rounds: number): Promise<Report> {
  const server = ['traffic', 'echo', CPU, PORT];
  const addresses = await onEachNetwork(async (network, name) => {
    await stage.start(`client-${name}`, network, ['sleep', '1d']);
    return stage.start(`server-${name}`, network, server);
  });
  const command = (address: string): string[] => ['rr', CPU, address, PORT, MS];
  const onNetwork = async (name: keyof typeof addresses): Promise<number> => {
    const { p50 } = await stage.measure<{ p50: number }>(`client-${name}`, ...command(addresses[name]));
    return p50 / NS_PER_US;
  };
  await using veth = await Bare.start(stage, 'veth');
  await using redirect = await Bare.start(stage, 'redirect');
  const onBare = async (bare: Bare): Promise<number> => {
    const said = await bare.exec([stage.traffic, ...command(bare.address)]);
    return (JSON.parse(said) as { p50: number }).p50 / NS_PER_US;
  };
  for (const bare of [veth, redirect]) bare.serve([stage.traffic, ...server.slice(1)]);
  const results = await paired(rounds, {
    bridge: () => onNetwork('bridge'),
    weir: () => onNetwork('weir'),
    again: () => onNetwork('again'),
    veth: () => onBare(veth),
    redirect: () => onBare(redirect),
  });
  const against = { base: results.bridge, again: results.again };
  return {
    title: 'TCP round trip of one byte, both ends on one CPU',
    ratios: [
      compare({ what: 'median round trip', unit: 'µs', bar: { atMost: 0.89 } }, results.weir, against),
      compare({ what: 'for comparison: a bare veth pair', unit: 'µs' }, results.veth, against),
      compare({ what: 'for comparison: a bare redirect_peer', unit: 'µs' }, results.redirect, against),
    ],
  };
}
