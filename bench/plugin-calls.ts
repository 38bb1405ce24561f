/** Where weir's part of a `docker run --rm` goes: how long each call takes that dockerd makes to the plugin. */
import { PluginProxy } from './plugin-proxy.ts';
import type { FigureRow, Report } from './report.ts';
import { spread } from './spread.ts';
import { IMAGE } from './stage.ts';
import type { Stage } from './stage.ts';

const PLUGIN = 'weirtimed';
const NETWORK = 'bench-timed';

export async function pluginCalls(stage: Stage, rounds: number): Promise<Report> {
  const { host } = stage;
  using proxy = await PluginProxy.start(host, PLUGIN);
  await host.docker('network', 'create', '--driver', PLUGIN, '--ipam-driver', PLUGIN, NETWORK);
  const perMethod = new Map<string, number[]>();
  for (let round = -1; round < rounds; round++) {
    proxy.calls.length = 0;
    await host.docker('run', '--rm', '--network', NETWORK, IMAGE, 'true');
    if (round < 0) continue;
    for (const { method, ms } of proxy.calls) perMethod.set(method, [...(perMethod.get(method) ?? []), ms]);
  }
  await host.docker('network', 'rm', NETWORK);
  const figures: FigureRow[] = [...perMethod].map(([what, values]) => ({
    what,
    unit: 'ms',
    value: spread(values),
    rounds: values.length,
  }));
  return { title: 'Plugin calls of one docker run, in their order', figures };
}
