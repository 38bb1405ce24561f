/**
 * The host's own place in the network: a device with one address of the node's prefix, which is the source of what the
 * host says to containers, and the routing table that leads to them.
 */
import { detachClsact, readSysctl, writeSysctl } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';

export const HOST_DEVICE = 'weir0';
/** Not main: dockerd looks there for overlaps with the pools it hands out. */
export const ROUTE_TABLE = 210;
/** Before main (32766), behind whatever an administrator put first. */
const RULE = { family: 4, priority: 32_000, table: ROUTE_TABLE } as const;
const FORWARDING = 'net.ipv4.ip_forward';

/** Makes, takes over or mends the device and the rule. Idempotent, and silent where nothing is amiss. */
export function setUpHost(netlink: Netlink, address: string): void {
  const index = netlink.link(HOST_DEVICE)?.index ?? netlink.createBridge({ name: HOST_DEVICE });
  const own = netlink.addresses().filter((item) => item.ifindex === index && item.family === 4);
  for (const other of own)
    if (other.address !== address) netlink.deleteAddress(index, `${other.address}/${other.length}`);
  if (!own.some((item) => item.address === address))
    netlink.addAddress(index, `${address}/32`, { scope: 'global' });
  if (netlink.link(index)?.up !== true) netlink.setLinkUp(index);
  netlink.addRule(RULE);
  if (readSysctl(FORWARDING) !== '1') writeSysctl(FORWARDING, '1');
}

/** Takes back what `setUpHost` made, and the filters that the datapath is where the kernel has no tcx. */
export async function tearDownHost(netlink: Netlink): Promise<void> {
  netlink.deleteRule(RULE);
  for (const route of netlink.routes(ROUTE_TABLE)) netlink.deleteRoute(route);
  const link = netlink.link(HOST_DEVICE);
  if (link !== undefined) await netlink.deleteLink(link.index);
  for (const { index } of netlink.links()) detachClsact(index, 'ingress');
}
