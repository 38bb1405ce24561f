/** `weir agent`: the daemon, in the foreground until SIGTERM or SIGINT. */
import { createLog, describeError, UserError } from '../base/index.ts';
import { Agent } from './agent.ts';
import { loadConfig } from './config.ts';
import { VERSION } from './version.ts';

const USAGE = 2;

async function run(argv: string[]): Promise<void> {
  const loaded = loadConfig(argv);
  if ('help' in loaded) {
    process.stdout.write(loaded.help);
    return;
  }
  const { config, settings } = loaded;
  const log = createLog({ level: config.logLevel, format: config.logFormat });
  process.on('uncaughtException', (error) => {
    log.error('bug: uncaught exception', { error: error.stack ?? String(error) });
    process.exit(1);
  });
  const agent = await Agent.start({ config, settings, log });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('stopping, the datapath stays', { signal });
      void agent.stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
  }
  process.stdout.write(
    `weir agent ${VERSION} is ready: plugin ${config.pluginSocket}, API ${config.runDir}/weir.sock\n`,
  );
}

try {
  await run(process.argv.slice(3));
} catch (error) {
  process.stderr.write(`weir agent: ${describeError(error)}\n`);
  process.exit(error instanceof UserError ? USAGE : 1);
}
