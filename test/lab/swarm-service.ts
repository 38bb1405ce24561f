/** A service of two replicas on a swarm of one lab host, under the name `web`. */
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { IMAGE } from './cast.ts';
import type { LabHost } from './host.ts';
import { until } from './run.ts';

/** The scheduler hears of a plugin within 20 s; tasks that fail are tried again every 5 s. */
const SCHEDULED_MS = 60_000;
const SERVE = 'hostname >/www/index.html; exec httpd -f -p 80 -h /www';

/** The names of the replicas that answer when a container of that label asks for the service; none if it is not let in. */
export async function answers(host: LabHost, role: string, network: string): Promise<Set<string>> {
  const ask = `for i in 1 2 3 4 5 6 7 8; do curl -s -m 2 http://web || exit 0; done`;
  const flags = ['--rm', '--network', network, '-l', `role=${role}`];
  return new Set((await host.docker('run', ...flags, IMAGE, 'sh', '-c', ask)).split('\n').filter(Boolean));
}

export async function serve(host: LabHost, network: string, ...flags: string[]): Promise<void> {
  const service = [
    'service',
    'create',
    '--detach',
    '--no-resolve-image',
    '--name',
    'web',
    '--network',
    network,
  ];
  await host.docker(
    ...service,
    '--replicas',
    '2',
    '--stop-grace-period',
    '1s',
    ...flags,
    IMAGE,
    'sh',
    '-c',
    SERVE,
  );
  await isServed(host);
}

function isServed(host: LabHost): Promise<boolean> {
  const count = ['service', 'ls', '--filter', 'name=web', '--format', '{{.Replicas}}'];
  return until('both replicas run', async () => (await host.docker(...count)) === '2/2', SCHEDULED_MS);
}

export async function endService(host: LabHost, network: string): Promise<void> {
  await host.docker('service', 'rm', 'web');
  await until('its tasks are gone', async () => (await host.docker('ps', '-aq')) === '', SCHEDULED_MS);
  await host.docker('network', 'rm', network);
}

export async function addressesInUse(host: LabHost): Promise<number> {
  const pools = await ask<api.Pool[]>(host, '/v1/ipam');
  return pools.reduce((sum, pool) => sum + pool.allocated, 0);
}
