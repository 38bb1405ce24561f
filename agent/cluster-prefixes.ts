/** The cluster's addresses and this host's part of them, of each family that the host has. */
import { cidrsOverlap, HostError, parseCidr } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import { ROUTE_TABLE } from '../datapath/index.ts';
import { hasIpv6 } from '../kernel/index.ts';
import type { Netlink } from '../kernel/index.ts';
import type { AgentConfig } from './config.ts';
import { NODE_PREFIX6 } from './config-value.ts';

export interface ClusterPrefix {
  clusterCidr: string;
  nodePrefix: string;
}

/** IPv4's, and IPv6's where the kernel has it. Throws HostError CLUSTER_CIDR_OVERLAP. */
export function clusterPrefixes(
  { clusterCidr, clusterCidr6, nodePrefixLength }: AgentConfig,
  routes: Cidr[],
): [ClusterPrefix, ClusterPrefix?] {
  const ipv4 = prefixOf(clusterCidr, nodePrefixLength, routes);
  return hasIpv6() ? [ipv4, prefixOf(clusterCidr6, NODE_PREFIX6, routes)] : [ipv4];
}

/** Prefixes that the host reaches on its own: no pool may cover them. */
export function hostRoutes(netlink: Netlink): Cidr[] {
  return netlink
    .routes()
    .filter(
      (route) => route.table !== ROUTE_TABLE && route.type === 'unicast' && !route.destination.endsWith('/0'),
    )
    .map((route) => parseCidr(route.destination));
}

function prefixOf(text: string, length: number, routes: Cidr[]): ClusterPrefix {
  const cluster = parseCidr(text);
  const other = routes.find((route) => cidrsOverlap(route, cluster));
  if (other !== undefined) {
    const flag = cluster.family === 4 ? '--cluster-cidr' : '--cluster-cidr6';
    const what = `cluster CIDR ${cluster.text} overlaps the host's route to ${other.text}`;
    throw new HostError('CLUSTER_CIDR_OVERLAP', what, { hint: `choose another range with ${flag}` });
  }
  return { clusterCidr: cluster.text, nodePrefix: `${cluster.address}/${length}` };
}
