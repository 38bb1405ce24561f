/** weir version: of this command and of the agent it talks to. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import { NotRunning } from './client.ts';
import type { Context } from './context.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { facts } from './table.ts';

interface Versions {
  client: { version: string; node: string };
  /** Null while no agent runs. */
  daemon: api.Version | null;
}

/** dist/cli/ is two levels below package.json. */
export function clientVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function human({ client, daemon }: Versions): string {
  const agent =
    daemon === null
      ? 'not running'
      : `${daemon.version} (API ${daemon.api}, node ${daemon.node}, kernel ${daemon.kernel})`;
  return facts([
    ['Client', `${client.version} (node ${client.node})`],
    ['Daemon', agent],
  ]);
}

async function daemonVersion(context: Context, command: Command): Promise<api.Version | null> {
  try {
    return await context.client(command).get<api.Version>('/v1/version');
  } catch (error) {
    if (error instanceof NotRunning) return null;
    throw error;
  }
}

export function addVersion(program: Command, context: Context): void {
  withOutput(program.command('version'))
    .description('show the versions of this command and of the agent')
    .action(async (options: OutputOptions, command: Command) => {
      const daemon = await daemonVersion(context, command);
      const client = { version: clientVersion(), node: process.versions.node };
      await show<Versions>(context.io, options, { client, daemon }, human);
    });
}
