/**
 * The host's own place in the network: a device with one address of the node's prefix, which is the source of what the
 * host says to containers, and the routing table that leads to them.
 */
import { readSysctl, writeSysctl } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';

export const HOST_DEVICE = 'weir0';
/** Not main: dockerd looks there for overlaps with the pools it hands out. */
export const ROUTE_TABLE = 210;
/** Before main (32766), behind whatever an administrator put first. */
const RULE_PRIORITY = 32_000;
const RESERVED_PORTS = 'net.ipv4.ip_local_reserved_ports';

export interface PortRange {
  first: number;
  last: number;
}

/** Makes or takes over the device and the rule. Idempotent. */
export function setUpHost(netlink: Netlink, address: string): void {
  const index = netlink.link(HOST_DEVICE)?.index ?? netlink.createBridge({ name: HOST_DEVICE });
  for (const other of netlink.addresses()) {
    if (other.ifindex === index && other.family === 4 && other.address !== address) {
      netlink.deleteAddress(index, `${other.address}/${other.length}`);
    }
  }
  netlink.addAddress(index, `${address}/32`, { scope: 'global' });
  netlink.setLinkUp(index);
  netlink.addRule({ family: 4, priority: RULE_PRIORITY, table: ROUTE_TABLE });
  if (readSysctl('net.ipv4.ip_forward') !== '1') writeSysctl('net.ipv4.ip_forward', '1');
}

/** Takes back what `setUpHost` made. */
export async function tearDownHost(netlink: Netlink): Promise<void> {
  netlink.deleteRule({ family: 4, priority: RULE_PRIORITY, table: ROUTE_TABLE });
  for (const route of netlink.routes(ROUTE_TABLE)) netlink.deleteRoute(route);
  const link = netlink.link(HOST_DEVICE);
  if (link !== undefined) await netlink.deleteLink(link.index);
}

/** Keeps the host's own sockets out of the masquerade range, whatever else is reserved already. */
export function reservePorts(range: PortRange): void {
  const others = reservedOthers(range);
  writeSysctl(RESERVED_PORTS, [...others, `${range.first}-${range.last}`].join(','));
}

export function releasePorts(range: PortRange): void {
  // an empty list is written as a line of its own
  writeSysctl(RESERVED_PORTS, `${reservedOthers(range).join(',')}\n`);
}

/** The kernel merges ranges that touch; one that contains ours is left as it is. */
function reservedOthers({ first: low, last: high }: PortRange): string[] {
  const ranges = (readSysctl(RESERVED_PORTS) ?? '').split(',').filter(Boolean);
  return ranges.flatMap((text) => {
    const [first = 0, last = first] = text.split('-').map(Number);
    if (last < low || first > high) return [text];
    return [...(first < low ? [`${first}-${low - 1}`] : []), ...(last > high ? [`${high + 1}-${last}`] : [])];
  });
}
