/** Requests of dockerd, read strictly: what is missing or of the wrong kind is named, nothing is guessed. */
import {
  bodyList,
  bodyObject,
  bodyText,
  parseAddress,
  parseCidr,
  type PluginBody,
  tryAddress,
  UserError,
} from '../base/index.ts';
import { onLinkPrefix } from './static-routes.ts';
import { checkEndpointOptions, type NetworkOptions, parseNetworkOptions } from './network-options.ts';

export interface NetworkRequest {
  id: string;
  internal: boolean;
  options: NetworkOptions;
  pools: string[];
  /** As given by --gateway or by the IPAM driver. */
  gateway?: string;
}

export interface EndpointRequest {
  networkId: string;
  endpointId: string;
  ipv4: string;
  /** The prefix its mask puts on the link; missing for a host address. */
  onLink?: string;
  mac?: string;
  publishesPorts: boolean;
}

export interface JoinRequest {
  networkId: string;
  endpointId: string;
  sandbox: string;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

function bad(what: string, right: string): UserError {
  return new UserError('BAD_REQUEST', what, { hint: right });
}

function objectsOf(body: PluginBody, key: string): PluginBody[] {
  const list = bodyList(body, key);
  if (!list.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item))) {
    throw bad(`${key} is not a list of objects`, 'send JSON objects');
  }
  return list as PluginBody[];
}

/** An id of Docker's: safe as a part of a record's key. */
export function idOf(body: PluginBody, name: 'NetworkID' | 'EndpointID'): string {
  const id = bodyText(body, name);
  if (!ID.test(id))
    throw bad(id === '' ? `${name} is missing` : `${name} is not an id`, 'send the id that Docker gave');
  return id;
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function refuseOtherFamilies(options: PluginBody, body: PluginBody): void {
  if (isTrue(options['com.docker.network.enable_ipv6']) || objectsOf(body, 'IPv6Data').length > 0) {
    throw new UserError('IPV6_UNSUPPORTED', 'IPv6 is not supported yet on weir networks', {
      hint: 'create the network without --ipv6',
    });
  }
  if (options['com.docker.network.enable_ipv4'] === false || objectsOf(body, 'IPv4Data').length === 0) {
    throw new UserError('IPV4_REQUIRED', 'a weir network needs IPv4 addresses', {
      hint: 'create it without --ipv4=false and with --ipam-driver weir',
    });
  }
}

/** The address of "10.0.0.1/24" or "10.0.0.1". */
function addressOf(text: string): string {
  return parseAddress(text.split('/')[0] ?? '');
}

function poolOf(text: string): string {
  const pool = parseCidr(text);
  if (pool.family === 4 && pool.length > 0) return pool.text;
  throw new UserError('IPV4_REQUIRED', `pool ${text} is not an IPv4 network`, {
    hint: 'create the network with --ipam-driver weir',
  });
}

export function parseNetworkRequest(body: PluginBody): NetworkRequest {
  const id = idOf(body, 'NetworkID');
  const options = bodyObject(body, 'Options');
  refuseOtherFamilies(options, body);
  const data = objectsOf(body, 'IPv4Data');
  const gateway = data.map((item) => bodyText(item, 'Gateway')).find((text) => text !== '');
  return {
    id,
    internal: isTrue(options['com.docker.network.internal']),
    options: parseNetworkOptions(bodyObject(options, 'com.docker.network.generic')),
    pools: data.map((item) => poolOf(bodyText(item, 'Pool'))),
    ...(gateway === undefined ? {} : { gateway: addressOf(gateway) }),
  };
}

function macOf(text: string): string {
  if (!MAC.test(text))
    throw bad(`MAC address ${JSON.stringify(text)} is not valid`, 'write six bytes, as in 02:11:22:33:44:55');
  const isGroup = (Number.parseInt(text.slice(0, 2), 16) & 1) === 1;
  if (isGroup || /^[0:]+$/.test(text)) {
    throw new UserError('MAC_INVALID', `MAC address ${text} cannot be a container's`, {
      hint: 'use a unicast address, as in 02:11:22:33:44:55',
    });
  }
  return text.toLowerCase();
}

/** Whether `-p` or `-P` was given, in the options of CreateEndpoint, Join and ProgramExternalConnectivity alike. */
export function publishesPorts(body: PluginBody): boolean {
  return objectsOf(bodyObject(body, 'Options'), 'com.docker.network.portmap').length > 0;
}

/** Address and on-link prefix of "10.0.0.5/32"; Docker hands on what the IPAM driver gave, mask included. */
function interfaceAddress(text: string): { ipv4: string; onLink?: string } {
  const [address = '', digits = '32'] = text.split('/');
  const ipv4 = tryAddress(address);
  if (
    ipv4?.includes('.') !== true ||
    !/^\d{1,2}$/.test(digits) ||
    Number(digits) > 32 ||
    Number(digits) < 1
  ) {
    throw bad(
      `the endpoint has no IPv4 address: ${JSON.stringify(text)}`,
      'create the network with --ipam-driver weir',
    );
  }
  const onLink = onLinkPrefix(ipv4, Number(digits));
  return onLink === undefined ? { ipv4 } : { ipv4, onLink };
}

export function parseEndpointRequest(body: PluginBody): EndpointRequest {
  const networkId = idOf(body, 'NetworkID');
  const endpointId = idOf(body, 'EndpointID');
  const given = bodyObject(body, 'Interface');
  checkEndpointOptions(bodyObject(body, 'Options'));
  if (bodyText(given, 'AddressIPv6') !== '')
    throw new UserError('IPV6_UNSUPPORTED', 'IPv6 is not supported yet on weir networks');
  const mac = bodyText(given, 'MacAddress');
  return {
    networkId,
    endpointId,
    publishesPorts: publishesPorts(body),
    ...interfaceAddress(bodyText(given, 'Address')),
    ...(mac === '' ? {} : { mac: macOf(mac) }),
  };
}

export function parseJoinRequest(body: PluginBody): JoinRequest {
  const networkId = idOf(body, 'NetworkID');
  const endpointId = idOf(body, 'EndpointID');
  const sandbox = bodyText(body, 'SandboxKey');
  if (sandbox === '' || sandbox.length > 4096)
    throw bad('SandboxKey is missing', 'send the path of the network namespace');
  return { networkId, endpointId, sandbox };
}
