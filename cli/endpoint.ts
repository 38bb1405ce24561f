/** weir endpoint: the containers' places in the network. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import { usage } from './command-error.ts';
import { collect, type Context } from './context.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { parseOptions } from './options.ts';
import { facts, table } from './table.ts';

interface Options extends OutputOptions {
  label?: string[];
  headers?: boolean;
}

const HEADERS = [
  'ENDPOINT',
  ['POLICY (ingress)', 'ENFORCEMENT'],
  ['POLICY (egress)', 'ENFORCEMENT'],
  'IDENTITY',
  'LABELS (source:key[=value])',
  'IPv6',
  'IPv4',
  'STATUS',
  'CONTAINER',
];

/** As the field says it: a policy that is only audited enforces nothing. */
function enforcement(enforced: boolean, { policy }: api.Endpoint): string {
  if (!enforced) return 'Disabled';
  return policy.audit ? 'Disabled (Audit)' : 'Enabled';
}

function row(endpoint: api.Endpoint): (string | number | string[])[] {
  return [
    endpoint.id,
    enforcement(endpoint.policy.ingress, endpoint),
    enforcement(endpoint.policy.egress, endpoint),
    endpoint.identity.id,
    endpoint.identity.labels,
    endpoint.ipv6,
    endpoint.ipv4,
    endpoint.state,
    endpoint.containerName,
  ];
}

function block(endpoint: api.Endpoint): string {
  return facts([
    ['Endpoint', endpoint.id],
    ['State', endpoint.state],
    ['Container', `${endpoint.containerName} ${endpoint.containerId.slice(0, 12)}`.trim()],
    ['Network', endpoint.network],
    ['Docker endpoint', endpoint.endpointId.slice(0, 12)],
    ['IPv4', endpoint.ipv4],
    ['IPv6', endpoint.ipv6],
    ['MAC', endpoint.mac],
    ['Interface', endpoint.interface],
    ['Identity', endpoint.identity.id],
    ['Labels', endpoint.identity.labels],
    ['Policy ingress', enforcement(endpoint.policy.ingress, endpoint)],
    ['Policy egress', enforcement(endpoint.policy.egress, endpoint)],
    ['Policy revision', endpoint.policy.revision],
  ]);
}

function addList(group: Command, context: Context): void {
  withOutput(group.command('list'))
    .description('list the endpoints of this host')
    .option('-l, --label <label>', 'only those with this label (may be repeated)', collect)
    .option('--no-headers', 'without the headings')
    .action(async (options: Options, command: Command) => {
      const found = await context
        .client(command)
        .get<api.Endpoint[]>('/v1/endpoints', { labels: options.label });
      const headers = options.headers === false ? undefined : HEADERS;
      await show(context.io, options, found, (endpoints) => table(headers, endpoints.map(row)));
    });
}

function addGet(group: Command, context: Context): void {
  withOutput(group.command('get'))
    .description('show one endpoint, or all with a label')
    .argument('[id]', 'number, container name, or container-id:…, docker-endpoint:…, ipv4:…, ipv6:…')
    .option('-l, --label <label>', 'those with this label (may be repeated)', collect)
    .action(async (id: string | undefined, options: Options, command: Command) => {
      if ((id === undefined) === (options.label === undefined))
        throw usage('name an endpoint, or a label with -l');
      const client = context.client(command);
      if (id !== undefined) {
        return show(
          context.io,
          options,
          await client.get<api.Endpoint>(`/v1/endpoints/${encodeURIComponent(id)}`),
          block,
        );
      }
      const found = await client.get<api.Endpoint[]>('/v1/endpoints', { labels: options.label });
      return show(context.io, options, found, (endpoints) => endpoints.map(block).join('\n'));
    });
}

const optionsText = ({ policyAuditMode }: api.Options): string =>
  facts([['PolicyAuditMode', policyAuditMode === 'enable' ? 'Enabled' : 'Disabled']]);

function addConfig(group: Command, context: Context): void {
  withOutput(group.command('config'))
    .description('show or change the options of an endpoint; they go with it')
    .argument('<id>', 'endpoint, as for get')
    .argument('[option...]', 'PolicyAuditMode=enable or PolicyAuditMode=disable')
    .action(async (id: string, given: string[], options: OutputOptions, command: Command) => {
      const path = `/v1/endpoints/${encodeURIComponent(id)}/config`;
      const client = context.client(command);
      const found =
        given.length === 0
          ? await client.get<api.Options>(path)
          : await client.call<api.Options>(path, { method: 'PATCH', body: parseOptions(given) });
      await show(context.io, options, found, optionsText);
    });
}

export function addEndpoint(program: Command, context: Context): void {
  const group = program.command('endpoint').description('show endpoints and set their options');
  addList(group, context);
  addGet(group, context);
  addConfig(group, context);
}
