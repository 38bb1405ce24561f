/** Streams of numbered datagrams between containers, and what became of each. See probe.c. */
import { IMAGE, start } from './cast.ts';
import type { ContainerOptions } from './cast.ts';
import type { LabHost } from './host.ts';

export interface Stream {
  /** One letter, by which the receiver keeps streams apart. */
  tag: string;
  to: string;
  port: number;
  /** 0: until stopped. */
  count: number;
  intervalUs: number;
  /** A new socket, and so a new flow, for every datagram. */
  fresh?: boolean;
}

export interface Tally {
  received: number;
  /** The highest number seen; a stream without loss has received one more than this. */
  last: number;
}

export function sendCommand(stream: Stream): string[] {
  const numbers = [stream.port, stream.count, stream.intervalUs].map(String);
  return ['probe', 'send', stream.tag, stream.to, ...numbers, ...(stream.fresh === true ? ['fresh'] : [])];
}

/** Starts a container that receives; resolves to its address. */
export function startReceiver(
  host: LabHost,
  name: string,
  options: ContainerOptions & { port: number },
): Promise<string> {
  return start(host, name, { ...options, command: ['probe', 'receive', String(options.port)] });
}

/** Runs a stream of a fixed count in a container of its own; resolves to how many datagrams its kernel took. */
export async function send(host: LabHost, options: ContainerOptions, stream: Stream): Promise<number> {
  const labels = (options.labels ?? []).flatMap((label) => ['--label', label]);
  const said = await host.docker(
    'run',
    '--rm',
    '--network',
    options.network,
    ...labels,
    IMAGE,
    ...sendCommand(stream),
  );
  return (JSON.parse(said) as { sent: number }).sent;
}

/** Ends a sender or receiver and resolves to the line it says at its end. */
export async function finish<T>(host: LabHost, name: string): Promise<T> {
  await host.docker('stop', name);
  const lines = (await host.docker('logs', name)).split('\n');
  await host.docker('rm', '-f', name);
  return JSON.parse(lines.at(-1) ?? '') as T;
}
