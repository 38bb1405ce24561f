/** weir service: ports of the host that lead to containers. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import type { Context } from './context.ts';
import { addListCommand } from './inventory.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { end, facts, table } from './table.ts';

function ends(items: api.ServiceEnd[]): string[] {
  return items.map(({ address, port }) => end(address, port));
}

function list(services: api.Service[]): string {
  return table(
    ['ID', 'FRONTEND', 'PROTOCOL', 'BACKEND', 'CONTAINER'],
    services.map(({ id, frontend, protocol, backends, containerName }) => [
      id,
      end(frontend.address, frontend.port),
      protocol,
      ends(backends),
      containerName,
    ]),
  );
}

function block({ id, frontend, protocol, backends, network, containerName, endpoint }: api.Service): string {
  return facts([
    ['Service', id],
    ['Frontend', `${end(frontend.address, frontend.port)}/${protocol}`],
    ['Backends', ends(backends)],
    ['Container', containerName],
    ['Network', network],
    ['Endpoint', endpoint],
  ]);
}

export function addService(program: Command, context: Context): void {
  const group = program.command('service').description('show published ports');
  addListCommand(group.command('list'), context, {
    path: '/v1/services',
    description: 'list the ports of this host that lead to containers',
    human: list,
  });
  withOutput(group.command('get'))
    .description('show one of them')
    .argument('<id>', 'number')
    .action(async (id: string, options: OutputOptions, command: Command) => {
      const path = `/v1/services/${encodeURIComponent(id)}`;
      await show(context.io, options, await context.client(command).get<api.Service>(path), block);
    });
}
