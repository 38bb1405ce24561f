/** The command tree, and how its end becomes an exit code. */
import { Command, CommanderError } from 'commander';
import { addBpf } from './bpf.ts';
import { addCompletion } from './completion.ts';
import { CommandError, FAILED, USAGE, usage } from './command-error.ts';
import { createContext, type Context } from './context.ts';
import { DEFAULT_HOST } from './client.ts';
import { addEndpoint } from './endpoint.ts';
import { addIdentity } from './identity.ts';
import { addInventory } from './inventory.ts';
import { printable, type Io } from './io.ts';
import { addMonitor } from './monitor.ts';
import { addPolicy } from './policy.ts';
import { addService } from './service.ts';
import { addStatus } from './status.ts';
import { addVersion, clientVersion } from './version.ts';

/** bin/weir hands these to the agent's side; they stand here to be listed and completed. */
function addAgentSide(program: Command): void {
  const named = (name: string, description: string): void => {
    const said = program.command(name).description(description).allowUnknownOption().allowExcessArguments();
    said.action(() => {
      throw usage(`"${name}" must be the first word`, `write weir ${name}`);
    });
  };
  named('agent', 'run the daemon of this host (see weir agent --help)');
  named('cleanup', 'remove every trace of weir from this host; the agent must be stopped');
}

export function createProgram(context: Context): Command {
  const program = new Command('weir')
    .description('Identity-based networking and security for plain Docker')
    .exitOverride()
    .configureOutput({ writeOut: context.io.out, writeErr: context.io.err })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(add --help for the options)')
    .version(clientVersion(), '-V, --version', 'show the version of this command')
    .option('-H, --host <address>', `socket of the agent (default: $WEIR_SOCK, else ${DEFAULT_HOST})`);
  addStatus(program, context);
  addEndpoint(program, context);
  addIdentity(program, context);
  addPolicy(program, context);
  addService(program, context);
  addMonitor(program, context);
  addInventory(program, context);
  addBpf(program, context);
  addAgentSide(program);
  addVersion(program, context);
  addCompletion(program, context);
  return program;
}

/** What commander has already said on the way out. */
function exitCodeOf(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : USAGE;
}

/** Runs one command line and returns its exit code: 0 fine, 1 failed or unhealthy, 2 usage. */
export async function run(argv: string[], io: Io): Promise<number> {
  const context = createContext(io);
  try {
    await createProgram(context).parseAsync(argv, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOf(error);
    const message = error instanceof Error ? error.message : String(error);
    io.err(`weir: ${printable(message)}\n`);
    return error instanceof CommandError ? error.exitCode : FAILED;
  }
}
