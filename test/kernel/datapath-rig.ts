/** A datapath on a bpffs of its own, with the options that tests need; in the process's network namespace. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../base/index.ts';
import { Datapath } from '../../datapath/index.ts';
import type { DatapathOptions, EndpointSpec, Owner } from '../../datapath/index.ts';
import { closeFd, hasFeature, linkTarget, Netlink, openPinnedLink } from '../../kernel/index.ts';
import type { Direction, LinkTarget } from '../../kernel/index.ts';
import { parsePolicy } from '../../policy/index.ts';
import type { Rule } from '../../policy/index.ts';

export const NODE = '10.210.0.1';
export const NODE6 = 'fd00:210::1';
export const CLUSTER = '10.210.0.0/16';
export const CLUSTER6 = 'fd00:210::/48';
const NETWORK = 'app';
const SPACE = 2;
const SIDES = ['ingress', 'egress'] as const;
const MASQUERADE = { first: 61000, last: 65535 };

/** Endpoint 1 is denied to some of the world. */
export const RULES = parsePolicy(
  JSON.stringify([
    { endpointSelector: { matchLabels: { id: '256' } }, ingressDeny: [{ fromCIDR: ['192.0.2.0/24'] }] },
  ]),
  'policy.json',
);

export function openDatapath(bpffs: string, options: Partial<DatapathOptions> = {}): Datapath {
  return new Datapath({
    bpffs,
    log: silentLog,
    uplinks: [],
    masqueradePorts: MASQUERADE,
    clusterCidrs: () => [CLUSTER, CLUSTER6],
    nativeCidrs: [],
    nodeAddresses: [NODE, NODE6],
    context: { mode: 'default', spaceOf: (network) => (network === NETWORK ? SPACE : 0) },
    labelsOf: (identity) => [`container:id=${identity}`, `weir:network=${NETWORK}`],
    ...options,
  });
}

/** The endpoint number `index`, from 1 on, as the driver asks for it. */
export function specOf(index: number, endpointId?: number): EndpointSpec {
  return {
    key: `endpoint-${index}`,
    network: { gateway4: '169.254.1.1', gateway6: 'fe80::1' },
    ipv4: `10.210.0.${index + 9}`,
    ipv6: `fd00:210::${index + 9}`,
    mac: `02:42:0a:d2:00:${(index + 9).toString(16).padStart(2, '0')}`,
    ...(endpointId === undefined ? {} : { endpointId }),
  };
}

export function ownerOf(index: number): Owner {
  return {
    containerId: `container-${index}`,
    containerName: `name-${index}`,
    identity: 255 + index,
    spaces: [SPACE],
    noWorld: false,
  };
}

/** Makes endpoints 1 … count and opens them. */
export async function populate(datapath: Datapath, count: number): Promise<void> {
  for (let index = 1; index <= count; index++) {
    await datapath.createEndpoint(specOf(index));
    await datapath.activateEndpoint(`endpoint-${index}`, ownerOf(index));
  }
}

/** A datapath that is started and committed. */
export async function startDatapath(
  bpffs: string,
  options?: Parameters<typeof openDatapath>[1],
): Promise<Datapath> {
  const datapath = openDatapath(bpffs, options);
  await datapath.start();
  await datapath.commit();
  return datapath;
}

export async function until(what: string, isSo: () => boolean, ms = 5_000): Promise<void> {
  for (const end = Date.now() + ms; !isSo(); await sleep(10))
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
}

/** Everything that a datapath may have touched. What the kernel gives every link is left out: it comes and goes by itself. */
export function network(netlink: Netlink): object {
  const isOfLink = (text: string): boolean => /^(fe80|ff)/.test(text);
  const own = netlink.routes().filter(({ destination }) => !isOfLink(destination));
  const rules = [...netlink.rules(4), ...netlink.rules(6)];
  return {
    links: netlink.links().map(({ name, up }) => `${name} ${up}`),
    addresses: netlink.addresses().flatMap(({ address }) => (isOfLink(address) ? [] : [address])),
    routes: own.map(({ destination, table }) => `${destination} ${table}`),
    rules: rules.map(({ family, priority, table }) => `${family} ${priority} ${table}`),
    // in the order of the kernel's hash table, which is another at each start
    neighbours: netlink
      .neighbours()
      .flatMap(({ address }) => (/^(10|fd00)/.test(address) ? [address] : []))
      .toSorted(),
  };
}

/** What a pinned link is attached to; undefined where there is none. */
export function pinnedLink(bpffs: string, name: string): LinkTarget | undefined {
  const fd = openPinnedLink(join(bpffs, 'weir', 'links', name));
  if (fd === undefined) return undefined;
  try {
    return linkTarget(fd);
  } finally {
    closeFd(fd);
  }
}

interface Filter {
  program: string;
  id: number;
}

function filters(device: string, side: Direction): Filter[] {
  const { stdout } = spawnSync('tc', ['filter', 'show', 'dev', device, side], { encoding: 'utf8' });
  const found = stdout.matchAll(/(\w+_(?:container|uplink)):\[(\d+)\]/g);
  return Array.from(found, ([, program = '', id]) => ({ program, id: Number(id) }));
}

/** Names of the programs that are filters of a device, ingress first. */
export function filtersOf(device: string): string[] {
  return SIDES.flatMap((side) => filters(device, side).map(({ program }) => program));
}

/** What is in force on a device for good: the pinned link, or the filter where the kernel has no tcx. */
export function inForce(bpffs: string, device: string, side: Direction): LinkTarget | undefined {
  if (hasFeature('tcx')) return pinnedLink(bpffs, `${device}-${side}`);
  const [filter] = filters(device, side);
  const netlink = Netlink.open();
  const ifindex = netlink.link(device)?.index;
  netlink.close();
  return filter && ifindex !== undefined ? { ifindex, programId: filter.id } : undefined;
}

/** Starts as after a restart: endpoints of an earlier process, the policy, then `commit`, of which `soon` is told before. */
export async function adopt(
  datapath: Datapath,
  indexes: number[],
  rules: Rule[],
  soon: () => void = () => {},
): Promise<void> {
  await datapath.start();
  datapath.enforcement.apply(rules);
  for (const index of indexes) {
    await datapath.createEndpoint(specOf(index, index));
    await datapath.activateEndpoint(`endpoint-${index}`, ownerOf(index));
  }
  soon();
  await datapath.commit();
}
