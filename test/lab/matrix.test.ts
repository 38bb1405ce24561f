/** Six containers, random policies: real connections, `policy trace` and a naive model must agree on every pair and port. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { importLabImage, reachable, start } from './cast.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { expected, randomRules, seeded } from './policy-model.ts';
import type { Labels } from './policy-model.ts';

const ROUNDS = 12;
const PORTS = [80, 81];
const WORLD = { tier: ['web', 'api', 'db'], env: ['prod', 'dev'] };
const LABELS: Labels[] = [
  { tier: 'web', env: 'prod' },
  { tier: 'api', env: 'prod' },
  { tier: 'db', env: 'prod' },
  { tier: 'web', env: 'dev' },
  { tier: 'db' },
  {},
];

const addresses: string[] = [];
const matrix = lab(
  () => LabHost.start({ name: 'matrix' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', '--driver', 'weir', '--ipam-driver', 'weir', 'grid');
    for (const [index, labels] of LABELS.entries()) {
      const flags = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      addresses.push(await start(host, `box${index}`, { network: 'grid', labels: flags }));
    }
  },
);

interface Pair {
  from: number;
  to: number;
  port: number;
}

const PAIRS: Pair[] = LABELS.flatMap((_, from) =>
  LABELS.flatMap((__, to) => (from === to ? [] : PORTS.map((port) => ({ from, to, port })))),
);
const nameOf = ({ from, to, port }: Pair): string => `box${from} -> box${to}:${port}`;

async function connections(host: LabHost): Promise<Set<string>> {
  const perSource = LABELS.map(async (_, from) => {
    const urls = new Map(
      PAIRS.filter((pair) => pair.from === from).map((pair) => [
        `http://${addresses[pair.to]}:${pair.port}`,
        pair,
      ]),
    );
    const reached = await reachable(host, `box${from}`, [...urls.keys()]);
    // curl leaves the default port out of the URL it reports
    return [...urls]
      .filter(([url]) => reached.has(url) || reached.has(url.replace(/:80$/, '')))
      .map(([, pair]) => nameOf(pair));
  });
  return new Set((await Promise.all(perSource)).flat());
}

async function traces(host: LabHost): Promise<Set<string>> {
  const allowed = new Set<string>();
  for (const pair of PAIRS) {
    const party = (index: number): object => ({ endpoint: `container-name:box${index}` });
    const dports = [{ port: pair.port, protocol: 'TCP' }];
    const trace = await ask<api.TraceResult>(host, '/v1/policy/trace', {
      source: party(pair.from),
      destination: party(pair.to),
      dports,
    });
    if (trace.verdict === 'allowed') allowed.add(nameOf(pair));
  }
  return allowed;
}

matrix.test(`${ROUNDS} random policies over ${PAIRS.length} connections each`, async (host, context) => {
  const seed = Date.now() % 1_000_000;
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const rules = round === 0 ? [] : randomRules(random, WORLD);
    await setPolicy(host, rules);
    const model = PAIRS.filter(({ from, to, port }) =>
      expected(rules, LABELS[from] ?? {}, LABELS[to] ?? {}, port),
    ).map(nameOf);
    const about = `seed ${seed}, round ${round}: ${JSON.stringify(rules)}`;
    assert.deepEqual(
      [...(await traces(host))].toSorted(),
      model.toSorted(),
      `trace against the model, ${about}`,
    );
    assert.deepEqual(
      [...(await connections(host))].toSorted(),
      model.toSorted(),
      `connections against the model, ${about}`,
    );
  }
});
