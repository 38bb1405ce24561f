/** -o on every command that shows something: for people, as JSON, or by a jsonpath template. */
import { InvalidArgumentError, type Command } from 'commander';
import { CommandError } from './command-error.ts';
import type { Io } from './io.ts';
import { compileJsonPath } from './jsonpath.ts';

/** JSON, or the text that a template makes of a value. */
export type Format = 'json' | ((value: unknown) => Promise<string>);

export interface OutputOptions {
  output?: Format;
}

function ended(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function formatOf(text: string): Format {
  if (text === 'json') return 'json';
  const template = /^jsonpath=(.+)$/s.exec(text)?.[1];
  if (template === undefined) throw new InvalidArgumentError(`write json or jsonpath='{…}'.`);
  try {
    const evaluate = compileJsonPath(template);
    return async (value) => ended(await evaluate(value));
  } catch (error) {
    throw error instanceof CommandError ? new InvalidArgumentError(error.message) : error;
  }
}

/** Gives a command the option. */
export function withOutput(command: Command): Command {
  return command.option('-o, --output <format>', `json or jsonpath='{…}'`, formatOf);
}

/** Prints `value` as asked, else what `human` makes of it. */
export async function show<T>(
  io: Io,
  { output }: OutputOptions,
  value: T,
  human: (value: T) => string,
): Promise<void> {
  if (output === 'json') io.out(`${JSON.stringify(value, null, 2)}\n`);
  else io.out(output === undefined ? human(value) : await output(value));
}
