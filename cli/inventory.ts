/** weir network, ipam, ip and config: lists of what the agent keeps. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import type { Context } from './context.ts';
import { parseOptions } from './options.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { table } from './table.ts';

interface List<T> {
  path: string;
  description: string;
  human: (items: T[]) => string;
}

/** A command that shows one list of the API. */
export function addListCommand<T>(
  command: Command,
  context: Context,
  { path, description, human }: List<T>,
): void {
  withOutput(command)
    .description(description)
    .action(async (options: OutputOptions, self: Command) => {
      await show(context.io, options, await context.client(self).get<T[]>(path), human);
    });
}

const networks: List<api.Network> = {
  path: '/v1/networks',
  description: 'list the Docker networks that weir serves',
  human: (items) =>
    table(
      ['NAME', 'ID', 'SUBNETS', 'GATEWAYS', 'ISOLATION', 'INTERNAL', 'MTU', 'ENDPOINTS'],
      items.map((network) => [
        network.name,
        network.id.slice(0, 12),
        network.subnets,
        network.gateways,
        network.isolation,
        network.internal ? 'yes' : 'no',
        network.mtu,
        network.endpoints,
      ]),
    ),
};

/** What no plain number holds, as the power of two that it nearly is. */
function amount(capacity: number): string {
  return Number.isSafeInteger(capacity) ? String(capacity) : `2^${Math.round(Math.log2(capacity))}`;
}

const pools: List<api.Pool> = {
  path: '/v1/ipam',
  description: 'list address pools and how full they are',
  human: (items) =>
    table(
      ['POOL', 'RANGE', 'GATEWAY', 'NETWORKS', 'ALLOCATED', 'RESTING', 'CAPACITY'],
      items.map((pool) => [
        pool.cidr,
        pool.range,
        pool.gateway,
        pool.networks,
        pool.allocated,
        pool.resting,
        amount(pool.capacity),
      ]),
    ),
};

const addresses: List<api.Address> = {
  path: '/v1/ips',
  description: 'list addresses and the identities behind them',
  human: (items) =>
    table(
      ['IP PREFIX/ADDRESS', 'IDENTITY', 'LABELS', 'ENDPOINT', 'CONTAINER'],
      items.map(({ cidr, identity, labels, endpoint, containerName }) => [
        cidr,
        identity,
        labels,
        endpoint === 0 ? '' : endpoint,
        containerName,
      ]),
    ),
};

const settingsText = (items: api.Setting[]): string =>
  table(
    ['NAME', 'VALUE', 'SOURCE'],
    items.map(({ name, value, source }) => [name, value, source]),
  );

function addConfig(program: Command, context: Context): void {
  withOutput(program.command('config'))
    .description('show the settings of the agent and where they come from, or change one until its end')
    .argument('[option...]', 'PolicyAuditMode=enable or PolicyAuditMode=disable')
    .action(async (given: string[], options: OutputOptions, command: Command) => {
      const client = context.client(command);
      const found =
        given.length === 0
          ? await client.get<api.Setting[]>('/v1/config')
          : await client.call<api.Setting[]>('/v1/config', { method: 'PATCH', body: parseOptions(given) });
      await show(context.io, options, found, settingsText);
    });
}

export function addInventory(program: Command, context: Context): void {
  addListCommand(program.command('network').description('show networks').command('list'), context, networks);
  addListCommand(program.command('ipam').description('show address pools').command('list'), context, pools);
  addListCommand(program.command('ip').description('show addresses').command('list'), context, addresses);
  addConfig(program, context);
}
