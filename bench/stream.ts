/** One TCP stream between two containers, and what the bare kernel carries. */
import { Bare } from './bare.ts';
import { compare, paired } from './paired.ts';
import type { Bar, RatioRow, Report } from './report.ts';
import { onEachNetwork } from './stage.ts';
import type { Stage } from './stage.ts';

const SECONDS = '1';
const BITS_PER_GBIT = 1e9;
/**
 * Where sender and receiver run. With a CPU each, copying sets the pace: a bare veth pair is no faster than the bridge
 * then, so the bar is for the way the packets take.
 */
const PLACES: { cpus: string; what: string; bar?: Bar }[] = [
  { cpus: '1,1', what: 'one CPU for both ends', bar: { atLeast: 1.1 } },
  { cpus: '0,1', what: 'a CPU for each end' },
];
const SERVER = ['iperf3', '-s'];

export async function stream(stage: Stage, rounds: number): Promise<Report> {
  const addresses = await onEachNetwork(async (network, name) => {
    await stage.start(`client-${name}`, network, ['sleep', '1d']);
    return stage.start(`server-${name}`, network, SERVER);
  });
  const veth = await Bare.start(stage, 'veth', SERVER);
  const redirect = await Bare.start(stage, 'redirect', SERVER);
  const received = async (client: string, address: string, cpus: string): Promise<number> => {
    const said = await stage.exec(client, 'iperf3', '-c', address, '-t', SECONDS, '-A', cpus, '-J');
    const { end } = JSON.parse(said) as { end: { sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second / BITS_PER_GBIT;
  };
  const ratios: RatioRow[] = [];
  for (const { cpus, what, bar } of PLACES) {
    const results = await paired(rounds, {
      bridge: () => received('client-bridge', addresses.bridge, cpus),
      weir: () => received('client-weir', addresses.weir, cpus),
      again: () => received('client-again', addresses.again, cpus),
      veth: () => received(veth.client, veth.address, cpus),
      redirect: () => received(redirect.client, redirect.address, cpus),
    });
    const against = { base: results.bridge, again: results.again };
    const row = (what: string, bar?: Bar) => ({
      what,
      unit: 'Gbit/s',
      ...(bar === undefined ? {} : { bar }),
    });
    ratios.push(compare(row(what, bar), results.weir, against));
    ratios.push(compare(row(`${what}: a bare veth pair`), results.veth, against));
    ratios.push(compare(row(`${what}: a bare redirect_peer`), results.redirect, against));
  }
  return { title: stage.titled('TCP stream'), ratios };
}
