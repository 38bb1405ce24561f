/** Takes every trace of weir off a host: devices, routes, rule, pins, sysctl, sockets, state. Idempotent. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../base/index.ts';
import { releasePorts, tearDownHost } from '../datapath/index.ts';
import { lockFolder, Netlink } from '../kernel/index.ts';
import { isAnswering } from './api-listen.ts';
import { STORE_FILE } from './config.ts';
import type { AgentConfig } from './config.ts';

/** Not empty, or a mount point. */
const KEPT = new Set(['ENOTEMPTY', 'EEXIST', 'EBUSY']);
const DEVICE = /^weir\d+c?$/;

/** Lines that say what was removed. Throws AGENT_RUNNING while an agent answers on its API socket or has the datapath. */
export async function cleanUp(config: AgentConfig): Promise<string[]> {
  const api = join(config.runDir, 'weir.sock');
  const pins = join(config.bpffs, 'weir');
  if (await isAnswering(api)) throw agentRunning(`answers on ${api}`);
  using lock = existsSync(pins) ? lockFolder(pins) : undefined;
  if (lock === undefined && existsSync(pins)) throw agentRunning(`has the datapath in ${pins}`);
  const netlink = Netlink.open();
  try {
    const devices = netlink.links().filter((link) => DEVICE.test(link.name) && link.kind === 'veth');
    for (const device of devices) await netlink.deleteLink(device.index);
    await tearDownHost(netlink);
    releasePorts(config.masqueradePorts);
    for (const path of [pins, config.pluginSocket]) rmSync(path, { recursive: true, force: true });
    removeOwn(config.runDir, (name) => name === 'weir.sock');
    removeOwn(config.stateDir, (name) => name.startsWith(STORE_FILE));
    const places = [pins, config.pluginSocket, api, join(config.stateDir, STORE_FILE)];
    return [`${devices.length} devices removed`, ...places.map((path) => `${path} removed`)];
  } finally {
    netlink.close();
  }
}

function agentRunning(where: string): HostError {
  return new HostError('AGENT_RUNNING', `an agent ${where}`, { hint: 'stop it first' });
}

/** A folder is the user's: what weir put there goes, then the folder if nothing else is in it. */
function removeOwn(folder: string, isOwn: (name: string) => boolean): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter(isOwn))
    rmSync(join(folder, name), { recursive: true, force: true });
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!KEPT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
