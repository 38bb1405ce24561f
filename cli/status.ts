/** weir status: what the agent stands on, and how it does. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import { FAILED } from './command-error.ts';
import type { Context } from './context.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { facts, table } from './table.ts';

interface Options extends OutputOptions {
  brief?: boolean;
  verbose?: boolean;
}

const WORD: Record<api.Health, string> = { ok: 'Ok', warning: 'Warning', failure: 'Failure' };

function detailed([name, { state, message, details = {} }]: [string, api.Component]): string[][] {
  const more = Object.entries(details).map(([key, value]) => ['', '', `${key}: ${value}`]);
  return [[`${name}:`, WORD[state], message], ...more];
}

function brief({ state, components }: api.Status): string {
  const bad = Object.entries(components).filter(([, component]) => component.state !== 'ok');
  return `${[state, ...bad.map(([name, { message }]) => `${name}: ${message}`)].join('; ')}\n`;
}

function human(status: api.Status, { verbose = false }: Options): string {
  const rows = Object.entries(status.components).flatMap(([name, component]) => {
    const lines = detailed([name, component]);
    return verbose ? lines : lines.slice(0, 1);
  });
  return `${table(undefined, rows)}\n${facts([['Overall', WORD[status.state]]])}`;
}

export function addStatus(program: Command, context: Context): void {
  withOutput(program.command('status'))
    .description('show the health of the agent; exits 1 when something fails')
    .option('--brief', 'one line')
    .option('-v, --verbose', 'with the details of every component')
    .action(async (options: Options, command: Command) => {
      const status = await context.client(command).get<api.Status>('/v1/status');
      await show(context.io, options, status, (value) =>
        options.brief === true ? brief(value) : human(value, options),
      );
      if (status.state === 'failure') context.exitCode = FAILED;
    });
}
