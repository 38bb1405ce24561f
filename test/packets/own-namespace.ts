/** Namespaces for one test file, where devices have the names of the cast and nothing is left behind. */
import { spawnSync } from 'node:child_process';

const MARK = 'WEIR_TEST_NAMESPACE';

/** Starts the test file again inside, and ends with it; to be called before any test is declared. */
export function enterOwnNamespace(kind: '--net' | '--mount' = '--net'): void {
  if (process.env[MARK] !== undefined) return;
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const env = { ...process.env, [MARK]: '1' };
  const { status } = spawnSync('unshare', [kind, ...command], { stdio: 'inherit', env });
  process.exit(status ?? 1);
}
