/** weir monitor: what the datapath sees, as it happens. */
import { InvalidArgumentError, type Command } from 'commander';
import type { api } from '../base/index.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { monitorLine } from './monitor-line.ts';
import { withOutput, type OutputOptions } from './output.ts';

interface Options extends OutputOptions {
  type?: string[];
  from?: string;
  to?: string;
  relatedTo?: string;
  json?: boolean;
  verbose?: boolean;
  numeric?: boolean;
}

const TYPES: readonly string[] = ['drop', 'trace', 'policy-verdict'] satisfies api.FlowType[];

function collectTypes(text: string, before: string[] | undefined): string[] {
  const names = text.split(',');
  if (names.some((name) => !TYPES.includes(name)))
    throw new InvalidArgumentError(`The types are ${TYPES.join(', ')}.`);
  return [...(before ?? []), ...names];
}

/** The number of an endpoint; a name is looked up first. */
async function endpointNumber(client: Client, id: string | undefined): Promise<string | undefined> {
  if (id === undefined || /^\d+$/.test(id)) return id;
  const endpoint = await client.get<api.Endpoint>(`/v1/endpoints/${encodeURIComponent(id)}`);
  return String(endpoint.id);
}

type Line = (record: api.MonitorRecord) => string | Promise<string>;

function lineOf({ output, json, verbose = false, numeric = false }: Options): Line {
  if (json === true || output === 'json') return (record) => `${JSON.stringify(record)}\n`;
  return output ?? ((record) => monitorLine(record, { verbose, numeric }));
}

async function watch(client: Client, options: Options, { io }: Context): Promise<void> {
  const query = {
    type: options.type?.join(','),
    from: await endpointNumber(client, options.from),
    to: await endpointNumber(client, options.to),
    relatedTo: await endpointNumber(client, options.relatedTo),
  };
  const line = lineOf(options);
  for await (const record of client.lines<api.MonitorRecord>('/v1/monitor', query, io.interrupted)) {
    io.out(await line(record));
  }
}

export function addMonitor(program: Command, context: Context): void {
  withOutput(program.command('monitor'))
    .description('show drops, verdicts and traces until interrupted')
    .option('-t, --type <type>', `${TYPES.join(', ')} (comma separated or repeated)`, collectTypes)
    .option('--from <endpoint>', 'only what this endpoint sends')
    .option('--to <endpoint>', 'only what this endpoint receives')
    .option('--related-to <endpoint>', 'only what this endpoint sends or receives')
    .option('-j, --json', 'one JSON object a line, as -o json')
    .option('-n, --numeric', 'without names')
    .option('-v, --verbose', 'with time, labels and policy revision')
    .action((options: Options, command: Command) => watch(context.client(command), options, context));
}
