/** weir identity: label sets and their numbers. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import { usage } from './command-error.ts';
import { collect, type Context } from './context.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { facts, table } from './table.ts';

interface Options extends OutputOptions {
  label?: string[];
}

function list(identities: api.Identity[]): string {
  return table(
    ['ID', 'LABELS', 'ENDPOINTS'],
    identities.map(({ id, labels, endpoints }) => [id, labels, endpoints]),
  );
}

function block({ id, labels, endpoints }: api.Identity): string {
  return facts([
    ['Identity', id],
    ['Labels', labels],
    ['Endpoints', endpoints],
  ]);
}

export function addIdentity(program: Command, context: Context): void {
  const group = program.command('identity').description('show security identities');
  withOutput(group.command('list'))
    .description('list identities, or those with the given labels')
    .argument('[labels...]', 'source:key=value, key=value or key')
    .action(async (labels: string[], options: OutputOptions, command: Command) => {
      const found = await context.client(command).get<api.Identity[]>('/v1/identities', { labels });
      await show(context.io, options, found, list);
    });
  withOutput(group.command('get'))
    .description('show one identity, or those with a label')
    .argument('[id]', 'number')
    .option('--label <label>', 'those with this label (may be repeated)', collect)
    .action(async (id: string | undefined, options: Options, command: Command) => {
      if ((id === undefined) === (options.label === undefined))
        throw usage('name an identity, or a label with --label');
      const client = context.client(command);
      if (id !== undefined) {
        return show(
          context.io,
          options,
          await client.get<api.Identity>(`/v1/identities/${encodeURIComponent(id)}`),
          block,
        );
      }
      const found = await client.get<api.Identity[]>('/v1/identities', { labels: options.label });
      return show(context.io, options, found, (identities) => identities.map(block).join('\n'));
    });
}
