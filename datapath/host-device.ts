/**
 * The host's own place in the network: a device with one address of each of the node's prefixes, which is the source of
 * what the host says to containers, and the routing table that leads to them.
 */
import { addressBits, familyOf } from '../base/index.ts';
import { detachClsact, readSysctl, writeSysctl } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';

export const HOST_DEVICE = 'weir0';
/** Not main: dockerd looks there for overlaps with the pools it hands out. */
export const ROUTE_TABLE = 210;
/** Before main (32766), behind whatever an administrator put first. */
const RULE = { priority: 32_000, table: ROUTE_TABLE } as const;
const FORWARDING = 'net.ipv4.ip_forward';
const NO_IPV6 = `net.ipv6.conf.${HOST_DEVICE}.disable_ipv6`;

/** Makes, takes over or mends the device and the rules. Idempotent, and silent where nothing is amiss. */
export function setUpHost(netlink: Netlink, addresses: string[]): void {
  const index = netlink.link(HOST_DEVICE)?.index ?? netlink.createBridge({ name: HOST_DEVICE });
  const hasIpv6 = addresses.some((address) => familyOf(address) === 6);
  if (hasIpv6 && readSysctl(NO_IPV6) === '1') writeSysctl(NO_IPV6, '0');
  const present = netlink.addresses().filter((item) => item.ifindex === index && item.scope === 'global');
  for (const { address, length } of present)
    if (!addresses.includes(address)) netlink.deleteAddress(index, `${address}/${length}`);
  for (const address of addresses) {
    const family = familyOf(address);
    if (!present.some((item) => item.address === address))
      netlink.addAddress(index, `${address}/${addressBits(family)}`, {
        scope: 'global',
        noPrefixRoute: true,
      });
    netlink.addRule({ ...RULE, family });
  }
  if (netlink.link(index)?.up !== true) netlink.setLinkUp(index);
  if (readSysctl(FORWARDING) !== '1') writeSysctl(FORWARDING, '1');
}

/** Takes back what `setUpHost` made, and the filters that the datapath is where the kernel has no tcx. */
export async function tearDownHost(netlink: Netlink): Promise<void> {
  for (const family of [4, 6] as const) netlink.deleteRule({ ...RULE, family });
  for (const route of netlink.routes(ROUTE_TABLE)) netlink.deleteRoute(route);
  const link = netlink.link(HOST_DEVICE);
  if (link !== undefined) await netlink.deleteLink(link.index);
  for (const { index } of netlink.links()) detachClsact(index, 'ingress');
}
