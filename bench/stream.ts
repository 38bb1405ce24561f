/** One TCP stream between two containers, sender and receiver on a CPU each, and what the bare kernel carries. */
import { Bare } from './bare.ts';
import { compare, paired } from './paired.ts';
import type { Report } from './report.ts';
import { onEachNetwork } from './stage.ts';
import type { Stage } from './stage.ts';

const SECONDS = '2';
const BITS_PER_GBIT = 1e9;
const SERVER = ['iperf3', '-s'];

export async function stream(stage: Stage, rounds: number): Promise<Report> {
  const addresses = await onEachNetwork(async (network, name) => {
    await stage.start(`client-${name}`, network, ['sleep', '1d']);
    return stage.start(`server-${name}`, network, SERVER);
  });
  const onNetwork = async (name: keyof typeof addresses): Promise<number> =>
    received(await stage.exec(`client-${name}`, ...clientCommand(addresses[name])));
  await using veth = await Bare.start(stage, 'veth');
  await using redirect = await Bare.start(stage, 'redirect');
  for (const bare of [veth, redirect]) bare.serve(SERVER);
  const onBare = async (bare: Bare): Promise<number> =>
    received(await bare.exec(clientCommand(bare.address)));
  const results = await paired(rounds, {
    bridge: () => onNetwork('bridge'),
    weir: () => onNetwork('weir'),
    again: () => onNetwork('again'),
    veth: () => onBare(veth),
    redirect: () => onBare(redirect),
  });
  const against = { base: results.bridge, again: results.again };
  return {
    title: 'TCP stream',
    ratios: [
      compare({ what: 'received', unit: 'Gbit/s', bar: { atLeast: 1.1 } }, results.weir, against),
      compare({ what: 'for comparison: a bare veth pair', unit: 'Gbit/s' }, results.veth, against),
      compare({ what: 'for comparison: a bare redirect_peer', unit: 'Gbit/s' }, results.redirect, against),
    ],
  };
}

function clientCommand(address: string): string[] {
  return ['iperf3', '-c', address, '-t', SECONDS, '-A', '0,1', '-J'];
}

/** Gbit/s, from what iperf3 answers in JSON. */
function received(json: string): number {
  const answer = JSON.parse(json) as { end: { sum_received: { bits_per_second: number } } };
  return answer.end.sum_received.bits_per_second / BITS_PER_GBIT;
}
