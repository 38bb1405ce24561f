/** What every command gets, and the small things that many share. */
import type { Command } from 'commander';
import { Client, DEFAULT_HOST } from './client.ts';
import type { Io } from './io.ts';

export interface Context {
  io: Io;
  /** Set by a command that did its work and found something wrong. */
  exitCode: number;
  /** The agent that -H or WEIR_SOCK names. Throws a usage error if the address is none. */
  client(command: Command): Client;
}

export function createContext(io: Io): Context {
  const host = (command: Command): string =>
    (command.optsWithGlobals<{ host?: string }>().host ?? io.env['WEIR_SOCK']) || DEFAULT_HOST;
  return { io, exitCode: 0, client: (command) => new Client(host(command)) };
}

/** For options that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
