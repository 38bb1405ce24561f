/** What `-p` and `-P` ask for, as dockerd says it in the options of CreateEndpoint, Join and ProgramExternalConnectivity. */
import { bodyObject, type PluginBody, tryAddress, UserError } from '../base/index.ts';
import type { PortRequest } from './contract.ts';

const PORTMAP = 'com.docker.network.portmap';
const PROTOCOLS: ReadonlyMap<unknown, 'tcp' | 'udp'> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
]);
const LAST_PORT = 0xffff;

function bad(what: string): UserError {
  return new UserError('BAD_REQUEST', `a published port ${what}`, {
    hint: 'send com.docker.network.portmap as dockerd does',
  });
}

function portOf(item: PluginBody, name: string, least: number): number {
  const value = item[name] ?? 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= LAST_PORT)
    return value;
  throw bad(`has no ${name} from ${least} to ${LAST_PORT}: ${JSON.stringify(value)}`);
}

function protocolOf(item: PluginBody): 'tcp' | 'udp' {
  const protocol = PROTOCOLS.get(item['Proto']);
  if (protocol !== undefined) return protocol;
  throw new UserError(
    'PORT_PROTOCOL',
    `cannot publish port ${String(item['Port'])} of protocol ${String(item['Proto'])}`,
    { hint: 'weir publishes TCP and UDP' },
  );
}

function hostAddressOf(item: PluginBody): string {
  const text = item['HostIP'] ?? '';
  if (text === '') return '';
  const address = typeof text === 'string' ? tryAddress(text) : undefined;
  if (address === undefined) throw bad(`has a host address that is none: ${JSON.stringify(text)}`);
  return address;
}

function requestOf(item: unknown): PortRequest {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw bad('is no object');
  const given = item as PluginBody;
  const hostPort = portOf(given, 'HostPort', 0);
  return {
    protocol: protocolOf(given),
    port: portOf(given, 'Port', 1),
    hostAddress: hostAddressOf(given),
    hostPort,
    hostPortEnd: Math.max(hostPort, portOf(given, 'HostPortEnd', 0)),
  };
}

/** In the order of their ports, whatever the order they come in, so that the same `docker run` gets the same ports. */
function inOrder(a: PortRequest, b: PortRequest): number {
  return a.hostPort === 0 || b.hostPort === 0
    ? b.hostPort - a.hostPort || a.port - b.port
    : a.hostPort - b.hostPort || a.port - b.port;
}

/** Throws UserError: BAD_REQUEST, or PORT_PROTOCOL for what weir does not publish. */
export function parsePortRequests(body: PluginBody): PortRequest[] {
  const items = bodyObject(body, 'Options')[PORTMAP] ?? [];
  if (!Array.isArray(items)) throw bad('is not in a list');
  return items.map(requestOf).sort(inOrder);
}
