/** weir as a managed plugin of a lab host's dockerd. */
import { join } from 'node:path';
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { PLUGIN } from './driver.ts';
import type { LabHost } from './host.ts';
import { run, until } from './run.ts';

/** dockerd gives a plugin ten seconds to end before it kills it. */
const END_MS = 30_000;

/** Hands a plugin that scripts/plugin-build has made to dockerd; it is not enabled yet. */
export async function createPlugin(host: LabHost, folder: string): Promise<void> {
  await host.docker('plugin', 'create', PLUGIN, folder);
  await placeState(host);
}

/** The folders of a lab host are mounts of their own, which a plain bind of their parent does not show. */
export async function placeState(host: LabHost): Promise<void> {
  await setPlugin(host, `state.source=${join(host.machine.folder, 'var/lib')}`);
}

export async function setPlugin(host: LabHost, ...settings: string[]): Promise<void> {
  await host.docker('plugin', 'set', PLUGIN, ...settings);
}

export async function enablePlugin(host: LabHost): Promise<void> {
  await host.docker('plugin', 'enable', PLUGIN);
  await pluginAnswers(host);
}

/** Also where networks and containers use it. */
export async function disablePlugin(host: LabHost): Promise<void> {
  await host.docker('plugin', 'disable', '-f', PLUGIN);
  await until('the plugin has ended', async () => (await pidOfPlugin(host)) === undefined, END_MS);
}

/** Waits for its API, at the path where `weir` on the host looks for it. */
export function pluginAnswers(host: LabHost): Promise<api.Status> {
  return until(
    'the plugin answers',
    () => ask<api.Status>(host, '/v1/status').catch(() => undefined),
    20_000,
  );
}

/** The agent's process, seen from the machine; undefined while there is none. */
export async function pidOfPlugin(host: LabHost): Promise<number | undefined> {
  const namespace = await host.run(['readlink', '/proc/self/ns/net']);
  const find = `for pid in $(pgrep -f '^/usr/bin/node .*/opt/weir/bin/weir agent'); do
    [[ $(readlink /proc/$pid/ns/net) == '${namespace}' ]] && echo $pid; done; true`;
  const [pid] = (await run(['bash', '-c', find])).split('\n').filter(Boolean).map(Number);
  return pid;
}
