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
  const veth = await Bare.start(stage, 'veth', server);
  const redirect = await Bare.start(stage, 'redirect', server);
  const median = async (client: string, address: string): Promise<number> => {
    const { p50 } = await stage.measure<{ p50: number }>(client, 'rr', CPU, address, PORT, MS);
    return p50 / NS_PER_US;
  };
  const results = await paired(rounds, {
    bridge: () => median('client-bridge', addresses.bridge),
    weir: () => median('client-weir', addresses.weir),
    again: () => median('client-again', addresses.again),
    veth: () => median(veth.client, veth.address),
    redirect: () => median(redirect.client, redirect.address),
  });
  const against = { base: results.bridge, again: results.again };
  return {
    title: stage.titled('TCP round trip of one byte, both ends on one CPU'),
    ratios: [
      compare({ what: 'median round trip', unit: 'µs', bar: { atMost: 0.89 } }, results.weir, against),
      compare({ what: 'for comparison: a bare veth pair', unit: 'µs' }, results.veth, against),
      compare({ what: 'for comparison: a bare redirect_peer', unit: 'µs' }, results.redirect, against),
    ],
  };
}
