/**
 * Six containers of both families, random policies: real connections, `policy trace` and a naive model must agree on
 * every pair, port and protocol.
 */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { importLabImage, reachable, startDual } from './cast.ts';
import type { Dual } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { expected, randomRules, seeded } from './policy-model.ts';
import type { Labels, Service } from './policy-model.ts';

const ROUNDS = 12;
const SERVICES: Service[] = [80, 81].flatMap((port) => [
  { port, protocol: 'TCP' },
  { port, protocol: 'UDP' },
]);
const WORLD = { tier: ['web', 'api', 'db'], env: ['prod', 'dev'] };
const LABELS: Labels[] = [
  { tier: 'web', env: 'prod' },
  { tier: 'api', env: 'prod' },
  { tier: 'db', env: 'prod' },
  { tier: 'web', env: 'dev' },
  { tier: 'db' },
  {},
];

const HTTP = 'httpd -p 81 -h /www; httpd -p 80 -h /www';
const SERVE = ['sh', '-c', `echo here >/www/index.html; ${HTTP}; exec probe echo 80 81`];

const addresses: Dual[] = [];
const matrix = lab(
  () => LabHost.start({ name: 'matrix' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, '--ipv6', 'grid');
    for (const [index, labels] of LABELS.entries()) {
      const flags = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      addresses.push(
        await startDual(host, `box${index}`, { network: 'grid', labels: flags, command: SERVE }),
      );
    }
  },
);

interface Pair extends Service {
  from: number;
  to: number;
}

const PAIRS: Pair[] = LABELS.flatMap((_, from) =>
  LABELS.flatMap((__, to) => (from === to ? [] : SERVICES.map((service) => ({ from, to, ...service })))),
);
const nameOf = ({ from, to, port, protocol }: Pair): string => `box${from} -> box${to}:${port}/${protocol}`;
const FAMILIES = ['ipv4', 'ipv6'] as const;
type Family = (typeof FAMILIES)[number];

/** The pairs that answer under their addresses of a family: TCP by curl, UDP by the probe. */
async function answered(host: LabHost, from: number, family: Family): Promise<Pair[]> {
  const pairs = PAIRS.filter((pair) => pair.from === from);
  const addressOf = ({ to }: Pair): string => addresses[to]![family];
  const urlOf = (pair: Pair): string =>
    `http://${family === 'ipv6' ? `[${addressOf(pair)}]` : addressOf(pair)}:${pair.port}`;
  const [tcp, udp] = ['TCP', 'UDP'].map((protocol) => pairs.filter((pair) => pair.protocol === protocol));
  const asked = udp!.flatMap((pair) => [addressOf(pair), String(pair.port)]);
  const [reached, said] = await Promise.all([
    reachable(host, `box${from}`, tcp!.map(urlOf)),
    host.docker('exec', `box${from}`, 'probe', 'reach', ...asked),
  ]);
  const lines = new Set(said.split('\n'));
  return [
    // curl leaves the default port out of the URL it reports
    ...tcp!.filter((pair) => reached.has(urlOf(pair)) || reached.has(urlOf(pair).replace(/:80$/, ''))),
    ...udp!.filter((pair) => lines.has(`${addressOf(pair)} ${pair.port}`)),
  ];
}

async function connections(host: LabHost, family: Family): Promise<string[]> {
  const perSource = await Promise.all(LABELS.map((_, from) => answered(host, from, family)));
  return perSource.flat().map(nameOf).toSorted();
}

async function traces(host: LabHost): Promise<Set<string>> {
  const allowed = new Set<string>();
  for (const pair of PAIRS) {
    const party = (index: number): object => ({ endpoint: `container-name:box${index}` });
    const dports = [{ port: pair.port, protocol: pair.protocol }];
    const trace = await ask<api.TraceResult>(host, '/v1/policy/trace', {
      source: party(pair.from),
      destination: party(pair.to),
      dports,
    });
    if (trace.verdict === 'allowed') allowed.add(nameOf(pair));
  }
  return allowed;
}

matrix.test(
  `${ROUNDS} random policies over ${PAIRS.length} connections each, in both families`,
  async (host, context) => {
    const seed = Date.now() % 1_000_000;
    context.diagnostic(`seed ${seed}`);
    const random = seeded(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const rules = round === 0 ? [] : randomRules(random, WORLD);
      await setPolicy(host, rules);
      const model = PAIRS.filter((pair) =>
        expected(rules, LABELS[pair.from] ?? {}, LABELS[pair.to] ?? {}, pair),
      ).map(nameOf);
      const about = `seed ${seed}, round ${round}: ${JSON.stringify(rules)}`;
      assert.deepEqual(
        [...(await traces(host))].toSorted(),
        model.toSorted(),
        `trace against the model, ${about}`,
      );
      const found = await Promise.all(FAMILIES.map((family) => connections(host, family)));
      for (const [at, family] of FAMILIES.entries())
        assert.deepEqual(found[at], model.toSorted(), `${family} against the model, ${about}`);
    }
  },
);
