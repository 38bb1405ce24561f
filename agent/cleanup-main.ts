/** `weir cleanup`: works without an agent, so it is the agent's own code, not its API's client. */
import { describeError, UserError } from '../base/index.ts';
import { cleanUp } from './cleanup.ts';
import { loadConfig } from './config.ts';

try {
  const loaded = loadConfig(process.argv.slice(3));
  const lines =
    'help' in loaded ? [loaded.help.replace('weir agent', 'weir cleanup')] : await cleanUp(loaded.config);
  process.stdout.write(`${lines.join('\n')}\n`);
} catch (error) {
  process.stderr.write(`weir cleanup: ${describeError(error)}\n`);
  process.exitCode = error instanceof UserError ? 2 : 1;
}
