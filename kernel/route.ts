/** Routes in rtnetlink's form (struct rtmsg and RTA_*). Pure. */
import { familyOf } from '../base/index.ts';
import type { Family } from '../base/index.ts';
import { AF, familyFrom, SCOPE, scopeFrom, splitPrefix } from './interface-address.ts';
import type { Scope } from './interface-address.ts';
import { address, decodeAttributes, given, readAddress, readU32, u32, whole } from './netlink-attribute.ts';
import type { Attributes } from './netlink-attribute.ts';

export const RTM_ROUTE = { create: 24, delete: 25, get: 26 } as const;

const RTA = {
  destination: 1,
  output: 4,
  gateway: 5,
  priority: 6,
  source: 7,
  multipath: 9,
  table: 15,
  mark: 16,
} as const;

export const TABLE = { main: 254, local: 255 } as const;
const PROTOCOL_STATIC = 4;
const ONLINK = 4;
const CLONED = 0x200;

/** What a route does with a packet (RTN_*). */
const TYPE = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const;
export type RouteType = keyof typeof TYPE;

export interface Route {
  family: Family;
  /** CIDR; the default route is 0.0.0.0/0 or ::/0. */
  destination: string;
  table: number;
  type: RouteType;
  scope: Scope;
  /** Who made it (RTPROT_*): 2 the kernel, 3 boot, 4 an administrator, 16 DHCP… */
  protocol: number;
  /** Of several next hops, the first one's. */
  ifindex?: number;
  gateway?: string;
  /** Preferred source address. */
  source?: string;
  /** Lower wins. */
  metric?: number;
}

/** A route to be: without `table` the main one, without `type` unicast. */
export interface NewRoute {
  destination: string;
  ifindex?: number;
  gateway?: string;
  source?: string;
  table?: number;
  metric?: number;
  scope?: Scope;
  type?: RouteType;
  /** The gateway is on the link though no address of the link says so. */
  onlink?: boolean;
  protocol?: number;
}

function defaultScope({ type, gateway }: NewRoute, family: Family): number {
  if (type === 'local') return SCOPE.host;
  const direct = gateway === undefined && (type === undefined || type === 'unicast');
  return family === 4 && direct ? SCOPE.link : SCOPE.global;
}

function attributes({ destination, ifindex, gateway, source, table, metric }: NewRoute): Buffer[] {
  const { address: base, length } = splitPrefix(destination);
  return [
    given(length === 0 ? undefined : base, (value) => address(RTA.destination, value)),
    given(ifindex, (value) => u32(RTA.output, value)),
    given(gateway, (value) => address(RTA.gateway, value)),
    given(source, (value) => address(RTA.source, value)),
    given(metric, (value) => u32(RTA.priority, value)),
    u32(RTA.table, table ?? TABLE.main),
  ];
}

/** rtmsg has one byte for the table; 0 sends the reader to the attribute. */
function header(
  family: Family,
  length: number,
  rest: { protocol: number; scope: number; type: number },
): Buffer {
  return Buffer.from([AF[family], length, 0, 0, 0, rest.protocol, rest.scope, rest.type, 0, 0, 0, 0]);
}

export function encodeRoute(route: NewRoute): Buffer {
  const { length, family } = splitPrefix(route.destination);
  const head = header(family, length, {
    protocol: route.protocol ?? PROTOCOL_STATIC,
    scope: route.scope === undefined ? defaultScope(route, family) : SCOPE[route.scope],
    type: TYPE[route.type ?? 'unicast'],
  });
  if (route.onlink === true) head.writeUInt32LE(ONLINK, 8);
  return Buffer.concat([head, ...attributes(route)]);
}

/** Names a route for deletion: what is left out matches anything. */
export function encodeRouteMatch(route: NewRoute): Buffer {
  const { length, family } = splitPrefix(route.destination);
  const head = header(family, length, {
    protocol: route.protocol ?? 0,
    scope: route.scope === undefined ? SCOPE.nowhere : SCOPE[route.scope],
    type: route.type === undefined ? 0 : TYPE[route.type],
  });
  return Buffer.concat([head, ...attributes(route)]);
}

/** A dump of one family, of one table where given. */
export function encodeRouteFilter(family: Family, table?: number): Buffer {
  const head = header(family, 0, { protocol: 0, scope: 0, type: 0 });
  return Buffer.concat([head, given(table, (value) => u32(RTA.table, value))]);
}

/** The question "which way would a packet to this address go?". */
export function encodeRouteQuestion(destination: string, mark?: number): Buffer {
  const family = familyOf(destination);
  const head = header(family, family === 4 ? 32 : 128, { protocol: 0, scope: 0, type: 0 });
  const marked = given(mark, (value) => u32(RTA.mark, value));
  return Buffer.concat([head, address(RTA.destination, destination), marked]);
}

function nextHop(found: Attributes): { ifindex?: number; gateway?: string } {
  const hops = found.get(RTA.multipath);
  // struct rtnexthop: length, flags, hops, ifindex; then attributes
  const many = hops !== undefined && hops.length >= 8;
  const inner = many ? decodeAttributes(hops.subarray(8, hops.readUInt16LE())) : found;
  const ifindex = many ? hops.readInt32LE(4) : readU32(found, RTA.output);
  const gateway = readAddress(inner, RTA.gateway);
  return whole({ ifindex, gateway });
}

/** Undefined for other families, cached routes, and types that weir has no use for. */
export function decodeRoute(payload: Buffer): Route | undefined {
  if (payload.length < 12 || (payload.readUInt32LE(8) & CLONED) !== 0) return undefined;
  return decodeAnswer(payload);
}

function typeFrom(number: number | undefined): RouteType | undefined {
  return (Object.keys(TYPE) as RouteType[]).find((name) => TYPE[name] === number);
}

/** `decodeRoute` for the answer to a question, which the kernel marks as a clone. */
export function decodeAnswer(payload: Buffer): Route | undefined {
  if (payload.length < 12) return undefined;
  const family = familyFrom(payload.readUInt8(0));
  const type = typeFrom(payload[7]);
  if (family === undefined || type === undefined) return undefined;
  const found = decodeAttributes(payload.subarray(12));
  const base = readAddress(found, RTA.destination) ?? (family === 4 ? '0.0.0.0' : '::');
  return {
    family,
    destination: `${base}/${payload.readUInt8(1)}`,
    table: readU32(found, RTA.table) ?? payload.readUInt8(4),
    type,
    scope: scopeFrom(payload.readUInt8(6)),
    protocol: payload.readUInt8(5),
    ...nextHop(found),
    ...whole({ source: readAddress(found, RTA.source), metric: readU32(found, RTA.priority) }),
  };
}
