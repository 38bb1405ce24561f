import { type PortSet, portSet } from './entry.ts';
import { portPrefixes } from './port-prefix.ts';
import type { EgressItem, IcmpFamily, IcmpType, IngressItem, PortSpec, Protocol } from './rule.ts';
import { servicePort } from './service-name.ts';

const PROTOCOLS: Record<Exclude<Protocol, 'ANY'>, number> = { TCP: 6, UDP: 17, SCTP: 132 };
/** The port of a message is its type. */
const ICMP: Record<IcmpFamily, number> = { IPv4: 1, IPv6: 58 };

/** Every packet, of whatever protocol. */
export const EVERY_PORT: PortSet = portSet(0, { port: 0, bits: 0 });

/** What an item names of protocols, ports and ICMP types; empty if it names nothing of them. */
export function portSetsOf({ toPorts = [], icmps = [] }: IngressItem | EgressItem): PortSet[] {
  const ports = toPorts.flatMap((rule) => rule.ports).flatMap(portSets);
  return [...ports, ...icmps.flatMap((rule) => rule.fields).map(icmpSet)];
}

/** A port under ANY is that port under each protocol that has ports; without a port, ANY is every packet. */
function portSets({ port, endPort, protocol }: PortSpec): PortSet[] {
  const first = servicePort(port) ?? Number(port);
  const prefixes = first === 0 ? [{ port: 0, bits: 0 }] : portPrefixes(first, endPort ?? first);
  if (protocol !== 'ANY') return prefixes.map((prefix) => portSet(PROTOCOLS[protocol], prefix));
  if (first === 0) return [EVERY_PORT];
  return Object.values(PROTOCOLS).flatMap((number) => prefixes.map((prefix) => portSet(number, prefix)));
}

function icmpSet({ family, type }: IcmpType): PortSet {
  return portSet(ICMP[family], { port: type, bits: 16 });
}
