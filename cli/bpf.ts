/** weir bpf: the maps of the datapath as the kernel holds them. */
import type { Command } from 'commander';
import type { api } from '../base/index.ts';
import type { Context } from './context.ts';
import { addListCommand } from './inventory.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { end, table } from './table.ts';

function policyTable(entries: api.BpfPolicyEntry[]): string {
  return table(
    ['IDENTITY', 'DIRECTION', 'PEER', 'LABELS', 'PORT/PROTO', 'VERDICT', 'RULE', 'GENERATION'],
    entries.map((entry) => [
      entry.identity,
      entry.direction,
      entry.peer,
      entry.peerName,
      `${entry.port}/${entry.protocol}`,
      entry.verdict,
      entry.rule === 0 ? 'default' : entry.rule,
      entry.generation,
    ]),
  );
}

function connectionTable(connections: api.BpfConnection[]): string {
  return table(
    ['PROTO', 'SOURCE', 'DESTINATION', 'IDENTITY', 'STATE', 'GENERATION', 'EXPIRES'],
    connections.map((connection) => [
      connection.protocol,
      end(connection.source, connection.sourcePort),
      end(connection.destination, connection.destinationPort),
      `${connection.sourceIdentity}->${connection.destinationIdentity}`,
      connection.state,
      connection.generation,
      `${connection.expiresInSeconds}s`,
    ]),
  );
}

function ipcacheTable(entries: api.BpfIpcacheEntry[]): string {
  return table(
    ['IP PREFIX/ADDRESS', 'IDENTITY', 'TUNNEL'],
    entries.map(({ cidr, identity, tunnelEndpoint }) => [cidr, identity, tunnelEndpoint]),
  );
}

function endpointTable(endpoints: api.BpfEndpoint[]): string {
  return table(
    ['IP ADDRESS', 'LOCAL ENDPOINT INFO'],
    endpoints.map(({ address, endpoint, identity, ifindex, interface: device, mac, flags }) => [
      address,
      [
        `id=${endpoint} identity=${identity} ifindex=${ifindex} interface=${device} mac=${mac}`,
        ...flags,
      ].join(' '),
    ]),
  );
}

function serviceTable(services: api.BpfService[]): string {
  return table(
    ['SERVICE ADDRESS', 'PROTO', 'BACKEND ADDRESS', 'ID'],
    services.map(({ id, protocol, address, port, backendAddress, backendPort }) => [
      end(address, port),
      protocol,
      end(backendAddress, backendPort),
      id,
    ]),
  );
}

function metricsTable(metrics: api.BpfMetric[]): string {
  return table(
    ['REASON', 'DIRECTION', 'PACKETS', 'BYTES'],
    metrics.map(({ reason, direction, packets, bytes }) => [reason, direction, packets, bytes]),
  );
}

function addPolicy(group: Command, context: Context): void {
  const policy = group.command('policy').description('the policy map');
  const list = { path: '/v1/bpf/policy', description: 'list all entries', human: policyTable };
  addListCommand(policy.command('list'), context, list);
  withOutput(policy.command('get'))
    .description('list the entries of one endpoint')
    .argument('<endpoint>', 'as in weir endpoint get')
    .action(async (endpoint: string, options: OutputOptions, command: Command) => {
      const entries = await context.client(command).get<api.BpfPolicyEntry[]>('/v1/bpf/policy', { endpoint });
      await show(context.io, options, entries, policyTable);
    });
}

export function addBpf(program: Command, context: Context): void {
  const group = program.command('bpf').description('show the maps of the datapath');
  const list = (name: string, description: string): Command =>
    group.command(name).description(description).command('list');
  const map = (name: string): { path: string; description: string } => ({
    path: `/v1/bpf/${name}`,
    description: 'list all entries',
  });
  addPolicy(group, context);
  addListCommand(list('ct', 'the connection table'), context, { ...map('ct'), human: connectionTable });
  addListCommand(list('ipcache', 'addresses and identities'), context, {
    ...map('ipcache'),
    human: ipcacheTable,
  });
  addListCommand(list('endpoint', 'the endpoint table'), context, {
    ...map('endpoint'),
    human: endpointTable,
  });
  addListCommand(list('lb', 'the map of published ports'), context, { ...map('lb'), human: serviceTable });
  addListCommand(list('metrics', 'the counters'), context, { ...map('metrics'), human: metricsTable });
}
