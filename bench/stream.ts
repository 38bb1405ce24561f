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
  const veth = await Bare.start(stage, 'veth', SERVER);
  const redirect = await Bare.start(stage, 'redirect', SERVER);
  const received = async (client: string, address: string): Promise<number> => {
    const said = await stage.exec(client, 'iperf3', '-c', address, '-t', SECONDS, '-A', '0,1', '-J');
    const { end } = JSON.parse(said) as { end: { sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second / BITS_PER_GBIT;
  };
  const results = await paired(rounds, {
    bridge: () => received('client-bridge', addresses.bridge),
    weir: () => received('client-weir', addresses.weir),
    again: () => received('client-again', addresses.again),
    veth: () => received(veth.client, veth.address),
    redirect: () => received(redirect.client, redirect.address),
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
