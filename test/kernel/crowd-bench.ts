/** What a thousand endpoints cost: crowd-bench.js [COUNT]. Prints one line a figure; run by bench/crowd. */
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { Crowd } from './crowd.ts';

enterOwnNamespace();

const COUNT = Number(process.argv[2] ?? 1000);
const KINDS = 50;
const AT_ONCE = 4;

function say(what: string, value: number, unit: string): void {
  console.log(`${what.padEnd(58)} ${value.toFixed(value < 10 ? 2 : 0).padStart(8)} ${unit}`);
}

/** A rule for every kind, with ports and peers. */
function policy(revision: number): unknown[] {
  return Array.from({ length: KINDS }, (_, kind) => ({
    endpointSelector: { matchLabels: { kind: String(kind) } },
    labels: [{ key: 'name', value: 'bench' }],
    ingress: [
      {
        fromEndpoints: [{ matchLabels: { kind: String((kind + revision) % KINDS) } }],
        toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }] }],
      },
    ],
  }));
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await run();
  return performance.now() - from;
}

await using crowd = new Crowd();
say('start, no endpoint', await crowd.start(), 'ms');
await crowd.createNetwork();
say('memory, no endpoint', (await crowd.footprint()).rssMb, 'MB');
const lane = async (first: number): Promise<void> => {
  for (let number = first; number < COUNT; number += AT_ONCE)
    await crowd.join(number, { kind: String(number % KINDS) });
};
const all = await timed(() => Promise.all(Array.from({ length: AT_ONCE }, (_, index) => lane(index))));
say(`address, endpoint and join, mean of ${COUNT}, ${AT_ONCE} at a time`, all / COUNT, 'ms');
const last = await timed(() => crowd.join(COUNT, { kind: '0' }));
say('the one after them', last, 'ms');
say('memory', (await crowd.footprint()).rssMb, 'MB');
for (let revision = 1; revision <= 3; revision++)
  say(
    `policy of ${KINDS} rules, revision ${revision}`,
    await timed(() => crowd.ask('/v1/policy', policy(revision))),
    'ms',
  );
await crowd.stop('SIGKILL');
say('start after a kill, all endpoints there', await crowd.start(), 'ms');
await crowd.stop('SIGKILL');
say('start after a kill, programs links by then or not', await crowd.start(), 'ms');
say('memory after a start', (await crowd.footprint()).rssMb, 'MB');
