/** How long `docker run` takes until the command in the container runs, and until the container is gone again. */
import { compare, paired } from './paired.ts';
import type { Report } from './report.ts';
import { IMAGE, NETWORKS } from './stage.ts';
import type { Stage } from './stage.ts';

const NS_PER_MS = 1e6;

export async function dockerRun(stage: Stage, rounds: number): Promise<Report> {
  const until = { bridge: [] as number[], again: [] as number[], weir: [] as number[] };
  const once = async (name: keyof typeof NETWORKS): Promise<number> => {
    const start = process.hrtime.bigint();
    const ran = await stage.host.docker('run', '--rm', '--network', NETWORKS[name], IMAGE, 'traffic', 'now');
    until[name].push(Number(BigInt(ran) - start) / NS_PER_MS);
    return Number(process.hrtime.bigint() - start) / NS_PER_MS;
  };
  const gone = await paired(rounds, {
    bridge: () => once('bridge'),
    weir: () => once('weir'),
    again: () => once('again'),
  });
  for (const times of Object.values(until)) times.shift(); // the round that does not count
  const runs = { what: 'until the command runs', unit: 'ms', bar: { atMost: 1.1 } };
  return {
    title: stage.titled('docker run'),
    ratios: [
      compare(runs, until.weir, { base: until.bridge, again: until.again }),
      compare({ what: 'until the container is gone', unit: 'ms' }, gone.weir, {
        base: gone.bridge,
        again: gone.again,
      }),
    ],
  };
}
