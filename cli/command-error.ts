/** What ends a command: one line for stderr and an exit code. cli/ has its own, for base's errors bring the log along. */
export const FAILED = 1;
export const USAGE = 2;

export class CommandError extends Error {
  readonly exitCode: number;

  constructor(
    message: string,
    options: { hint?: string | undefined; exitCode?: number; cause?: unknown } = {},
  ) {
    super(options.hint === undefined ? message : `${message} (${options.hint})`, { cause: options.cause });
    this.exitCode = options.exitCode ?? FAILED;
  }
}

/** The command line is wrong: exit code 2. */
export function usage(message: string, hint?: string): CommandError {
  return new CommandError(message, { hint, exitCode: USAGE });
}
