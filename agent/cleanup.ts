/** Takes every trace of weir off a host: devices, routes, rule, pins, sysctl, sockets, state. Idempotent. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../base/index.ts';
import { releasePorts, tearDownHost } from '../datapath/index.ts';
import { Netlink } from '../kernel/index.ts';
import { isAnswering } from './api-listen.ts';
import type { AgentConfig } from './config.ts';

const DEVICE = /^weir\d+c?$/;

/** Lines that say what was removed. Throws AGENT_RUNNING while an agent answers on its API socket. */
export async function cleanUp(config: AgentConfig): Promise<string[]> {
  const api = join(config.runDir, 'weir.sock');
  if (await isAnswering(api)) {
    throw new HostError('AGENT_RUNNING', `an agent answers on ${api}`, { hint: 'stop it first' });
  }
  const netlink = Netlink.open();
  try {
    const devices = netlink.links().filter((link) => DEVICE.test(link.name) && link.kind === 'veth');
    for (const device of devices) await netlink.deleteLink(device.index);
    await tearDownHost(netlink);
    releasePorts(config.masqueradePorts);
    const folders = [join(config.bpffs, 'weir'), config.pluginSocket, config.runDir, config.stateDir];
    for (const path of folders) removeTree(path);
    return [`${devices.length} devices removed`, ...folders.map((path) => `${path} removed`)];
  } finally {
    netlink.close();
  }
}

/** Removes a file or folder. A folder that is a mount point cannot go: it is emptied. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true });
  }
}
