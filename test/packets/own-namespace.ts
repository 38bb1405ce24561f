/**
 * Import this first: the test file starts itself again in a network namespace of its own, where devices have the names
 * of the cast, routes are known and nothing is left behind.
 */
import { spawnSync } from 'node:child_process';

const MARK = 'WEIR_TEST_NAMESPACE';

if (process.env[MARK] === undefined) {
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const env = { ...process.env, [MARK]: '1' };
  const { status } = spawnSync('unshare', ['--net', ...command], { stdio: 'inherit', env });
  process.exit(status ?? 1);
}
