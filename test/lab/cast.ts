/** Containers of the lab tests: servers that say their name, clients that try to reach them. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { identified } from './api.ts';
import type { LabHost } from './host.ts';
import { run } from './run.ts';

/** Every test image has busybox, curl and the probe. */
export const IMAGE = 'lab';
/** Flags of curl: a server may not listen yet. */
export const PATIENT = ['--connect-timeout', '1.5', '--retry', '3', '--retry-connrefused'];

export interface ContainerOptions {
  network: string;
  /** As in `id=app1`. */
  labels?: string[];
  /** Further flags of `docker run`. */
  flags?: string[];
  /** Default: an HTTP server on ports 80 and 81 that answers with the container's name. */
  command?: string[];
}

/** Builds the probe and imports the image that all tests use. */
export async function importLabImage(host: LabHost, binaries: string[] = []): Promise<void> {
  const probe = join(host.machine.folder, 'probe');
  const source = fileURLToPath(new URL('../../../test/lab/probe.c', import.meta.url));
  await run(['gcc', '-static', '-O2', '-o', probe, source]);
  await host.image(IMAGE, [probe, ...binaries]);
}

function runArguments(name: string, options: ContainerOptions): string[] {
  const labels = (options.labels ?? []).flatMap((label) => ['--label', label]);
  const serve = `echo ${name} >/www/index.html; httpd -p 81 -h /www; exec httpd -f -p 80 -h /www`;
  const command = options.command ?? ['sh', '-c', serve];
  return [
    '--name',
    name,
    '--network',
    options.network,
    ...labels,
    ...(options.flags ?? []),
    IMAGE,
    ...command,
  ];
}

/** Starts a container, waits for its labels, and resolves to its address on the network. */
export async function start(host: LabHost, name: string, options: ContainerOptions): Promise<string> {
  await host.docker('run', '-d', '--stop-timeout', '1', ...runArguments(name, options));
  await identified(host);
  return addressOf(host, name, options.network);
}

export function addressOf(host: LabHost, name: string, network: string, family: 4 | 6 = 4): Promise<string> {
  const field = family === 4 ? 'IPAddress' : 'GlobalIPv6Address';
  return host.docker('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").${field}}}`, name);
}

export interface Dual {
  ipv4: string;
  ipv6: string;
}

/** Starts a container on a network of both families and resolves to its addresses there. */
export async function startDual(host: LabHost, name: string, options: ContainerOptions): Promise<Dual> {
  const ipv4 = await start(host, name, options);
  return { ipv4, ipv6: await addressOf(host, name, options.network, 6) };
}

/** Tries all URLs at once from inside a container; resolves to those that answered. */
export async function reachable(host: LabHost, from: string, urls: string[]): Promise<Set<string>> {
  const targets = urls.flatMap((url) => ['-o', '/dev/null', url]);
  const flags = ['-Z', '--parallel-immediate', '-s', '--connect-timeout', '1.5', '-m', '4'];
  const result = await host.attemptDocker(
    'exec',
    from,
    'curl',
    ...flags,
    '-w',
    '%{url_effective} %{http_code}\n',
    ...targets,
  );
  const lines = result.stdout.split('\n').map((line) => line.split(' '));
  return new Set(lines.flatMap(([url = '', code]) => (code === '200' ? [url.replace(/\/$/, '')] : [])));
}

/** Whether `from` gets an answer of that address and port. */
export async function reaches(host: LabHost, from: string, address: string, port = 80): Promise<boolean> {
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
  return (await reachable(host, from, [url])).size === 1;
}

/** Removes containers of this host; all of them unless names are given. */
export async function remove(host: LabHost, ...names: string[]): Promise<void> {
  const ids = names.length > 0 ? names : (await host.docker('ps', '-aq')).split('\n').filter(Boolean);
  if (ids.length > 0) await host.docker('rm', '-f', ...ids);
}
