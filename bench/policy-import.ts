/** From the call of the API to the first packet that the new policy judges, with 50 endpoints that it selects. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, setPolicy, sleep } from './lab.ts';
import { quiet } from './quiet.ts';
import type { Report } from './report.ts';
import { spread } from './spread.ts';
import { NETWORKS } from './stage.ts';
import type { Stage } from './stage.ts';

const ENDPOINTS = 50;
const PORT = '9000';
const INTERVAL_US = 200;
const SETTLE_MS = 150;
const NS_PER_MS = 1e6;
const BAR = { atMost: 20 };

/** A hole in the stream of datagrams: when the ones before and after it were sent. */
interface Gap {
  last: number;
  first: number;
}

/** A rule for each of the endpoints; the last endpoint, which receives, admits `friend` only. */
function policy(friend: string): unknown[] {
  return Array.from({ length: ENDPOINTS }, (_, index) => ({
    endpointSelector: { matchLabels: { number: String(index) } },
    labels: [{ key: 'name', value: 'bench' }],
    ingress: [
      {
        fromEndpoints: [{ matchLabels: { role: index === ENDPOINTS - 1 ? friend : 'sender' } }],
        toPorts: [{ ports: [{ port: PORT, protocol: 'UDP' }] }],
      },
    ],
  }));
}

async function fill(stage: Stage): Promise<void> {
  const network = NETWORKS.weir;
  for (let index = 0; index < ENDPOINTS - 1; index++)
    await stage.start(`endpoint-${index}`, network, ['sleep', '1d'], [`number=${index}`]);
  const label = `number=${ENDPOINTS - 1}`;
  const address = await stage.start('receiver', network, ['traffic', 'gaps', PORT], [label]);
  await setPolicy(stage.host, policy('sender'));
  await stage.start(
    'sender',
    network,
    ['traffic', 'tick', address, PORT, String(INTERVAL_US)],
    ['role=sender'],
  );
  await sleep(SETTLE_MS);
}

interface Import {
  start: number;
  end: number;
}

async function timed(run: () => Promise<unknown>): Promise<Import> {
  await quiet();
  const start = Number(process.hrtime.bigint());
  await run();
  const end = Number(process.hrtime.bigint());
  await sleep(SETTLE_MS);
  return { start, end };
}

export async function policyImport(stage: Stage, rounds: number): Promise<Report> {
  const { host } = stage;
  await fill(stage);
  const put = (friend: string) => (): Promise<unknown> => {
    const files = [{ name: 'bench.json', text: JSON.stringify(policy(friend)) }];
    return ask(host, '/v1/policy', { files, replaceAll: true }, 'PUT');
  };
  await stage.restartAgent();
  const first = await timed(put('sender'));
  const denials: Import[] = [];
  const permits: Import[] = [];
  for (let round = -1; round < rounds; round++) {
    denials.push(await timed(put('nobody')));
    permits.push(await timed(put('sender')));
  }
  const gaps = (await host.docker('logs', 'receiver')).split('\n').filter(Boolean);
  const commands = await commandLine(stage, rounds);
  await stage.clear();
  await setPolicy(host, []);
  const title = stage.titled(`Policy import with ${ENDPOINTS} endpoints`);
  return describe(
    title,
    { denials: denials.slice(1), permits: permits.slice(1), firsts: [first], commands },
    gaps.map(parseGap),
  );
}

function parseGap(line: string): Gap {
  return JSON.parse(line) as Gap;
}

/** The same by `weir policy import`, start of the command included. */
async function commandLine({ host }: Stage, rounds: number): Promise<Import[]> {
  const files = ['nobody', 'sender'].map((friend) => {
    const file = join(host.machine.folder, `${friend}.json`);
    writeFileSync(file, JSON.stringify(policy(friend)));
    return file;
  });
  const imports: Import[] = [];
  for (let round = 0; round < rounds; round++)
    imports.push(await timed(() => host.weir('policy', 'import', files[round % 2] ?? '')));
  return imports;
}

function describe(
  title: string,
  measured: Record<'denials' | 'permits' | 'firsts' | 'commands', Import[]>,
  gaps: Gap[],
): Report {
  const { denials, permits, firsts, commands } = measured;
  const pairs = denials.map((denial, round) => {
    const permit = permits[round] ?? denial;
    const gap = gaps.find(({ first }) => first > permit.start && first < permit.end + SETTLE_MS * NS_PER_MS);
    if (gap === undefined) throw new Error('an import that denies the stream was not felt');
    // the datagram after the last one that passed was the first to be judged anew
    const denied = Math.max(0, gap.last - denial.start) / NS_PER_MS + INTERVAL_US / 1000;
    return { denied, permitted: (gap.first - permit.start) / NS_PER_MS };
  });
  const took = (imports: Import[]): number[] => imports.map(({ start, end }) => (end - start) / NS_PER_MS);
  const row = (what: string, values: number[]) => ({
    what,
    unit: 'ms',
    value: spread(values),
    rounds: values.length,
  });
  return {
    title,
    figures: [
      {
        ...row(
          'call to first packet denied',
          pairs.map(({ denied }) => denied),
        ),
        bar: BAR,
      },
      {
        ...row(
          'call to first packet allowed',
          pairs.map(({ permitted }) => permitted),
        ),
        bar: BAR,
      },
      { ...row('the call itself', took([...denials, ...permits])), bar: BAR },
      row('the first call after a start of the agent', took(firsts)),
      row('weir policy import, as a command', took(commands)),
    ],
  };
}
