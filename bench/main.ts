/** Runs the benches one after the other on one host and prints a table for each. */
import { parseArgs } from 'node:util';
import type { Family } from '../base/index.ts';
import type { Bench } from './bench.ts';
import { connectRate } from './connect-rate.ts';
import { dockerRun } from './docker-run.ts';
import { footprint } from './footprint.ts';
import { pluginCalls } from './plugin-calls.ts';
import { policyImport } from './policy-import.ts';
import { policySize } from './policy-size.ts';
import { formatReport, missed } from './report.ts';
import { publishedPort } from './published-port.ts';
import { roundTrip } from './round-trip.ts';
import { Stage } from './stage.ts';
import { stream } from './stream.ts';

const BENCHES: Record<string, { run: Bench; rounds: number }> = {
  'docker-run': { run: dockerRun, rounds: 15 },
  'plugin-calls': { run: pluginCalls, rounds: 9 },
  stream: { run: stream, rounds: 21 },
  'round-trip': { run: roundTrip, rounds: 15 },
  'connect-rate': { run: connectRate, rounds: 15 },
  'published-port': { run: publishedPort, rounds: 9 },
  'policy-import': { run: policyImport, rounds: 15 },
  'policy-size': { run: policySize, rounds: 11 },
  footprint: { run: footprint, rounds: 1 },
};

/** Those that no family makes a difference to, or that talk IPv4 from outside. */
const OF_IPV4 = new Set(['plugin-calls', 'published-port']);

function fail(text: string): never {
  process.stderr.write(`bench/run: ${text}\n`);
  process.exit(2);
}

function readArguments(): { names: string[]; rounds: number | undefined; family: Family } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string' }, ipv6: { type: 'boolean' } },
  });
  const unknown = positionals.find((name) => !(name in BENCHES));
  if (unknown !== undefined) fail(`no bench ${unknown}; there are ${Object.keys(BENCHES).join(', ')}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    fail('--rounds wants a number from 1 on');
  const usual = Object.keys(BENCHES).filter((name) => values.ipv6 !== true || !OF_IPV4.has(name));
  const [other] = positionals.filter((name) => !usual.includes(name));
  if (other !== undefined) fail(`${other} is not measured over IPv6; ${usual.join(', ')} are`);
  const names = positionals.length > 0 ? positionals : usual;
  return { names, rounds, family: values.ipv6 === true ? 6 : 4 };
}

async function runAll({ names, rounds, family }: ReturnType<typeof readArguments>): Promise<string[]> {
  const all: string[] = [];
  await using stage = await Stage.start(family);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stage[Symbol.asyncDispose]().then(() => process.exit(1)));
  for (const name of names) {
    const bench = BENCHES[name];
    if (bench === undefined) continue;
    const report = await bench.run(stage, rounds ?? bench.rounds);
    await stage.clear();
    console.log(formatReport(report));
    all.push(...missed(report).map((what) => `${report.title}: ${what}`));
  }
  return all;
}

const below = await runAll(readArguments());
if (below.length > 0) {
  console.log(`bars missed:\n${below.map((what) => `- ${what}`).join('\n')}`);
  process.exitCode = 1;
}
