/** What runs the agent in the lab, a process beside dockerd or a plugin in it, and so what Docker calls its drivers. */

/** What scripts/plugin-build has made, to run the agent as a managed plugin; empty for a process. */
export const PLUGIN_FOLDER = process.env['WEIR_TEST_PLUGIN'] ?? '';

/** As dockerd calls the plugin: with its tag. */
export const PLUGIN = 'weir:latest';

export const DRIVER = PLUGIN_FOLDER === '' ? 'weir' : PLUGIN;

/** Options of `docker network create`. */
export function driversOf(name: string): string[] {
  return ['--driver', name, '--ipam-driver', name];
}

export const DRIVERS = driversOf(DRIVER);
