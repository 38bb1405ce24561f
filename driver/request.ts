/** Requests of dockerd, read strictly: what is missing or of the wrong kind is named, nothing is guessed. */
import {
  addressBits,
  addressBytes,
  addressFromBytes,
  bodyList,
  bodyObject,
  bodyText,
  type Family,
  familyOf,
  parseAddress,
  parseCidr,
  type PluginBody,
  tryAddress,
  UserError,
} from '../base/index.ts';
import type { PortRequest } from './contract.ts';
import { parsePortRequests } from './port-request.ts';
import { onLinkPrefix } from './static-routes.ts';
import {
  checkEndpointOptions,
  checkIpv6Mtu,
  type NetworkOptions,
  parseNetworkOptions,
} from './network-options.ts';

export interface NetworkRequest {
  id: string;
  internal: boolean;
  options: NetworkOptions;
  pools: string[];
  /** As given by --gateway or by the IPAM driver. */
  gateways: { ipv4?: string; ipv6?: string };
}

/** Where an endpoint is: at least one address, and the prefixes that their masks put on the link. */
export interface Place {
  ipv4?: string;
  ipv6?: string;
  onLink?: string;
  onLink6?: string;
}

export interface EndpointRequest {
  networkId: string;
  endpointId: string;
  place: Place;
  mac?: string;
}

/** Ports that `-p` asks for on an endpoint. */
export interface PublishRequest {
  networkId: string;
  endpointId: string;
  ports: PortRequest[];
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

/** The address of "10.0.0.1/24" or "10.0.0.1". */
function addressOf(text: string): string {
  return parseAddress(text.split('/')[0] ?? '');
}

function poolOf(text: string, family: Family): string {
  const pool = parseCidr(text);
  if (pool.family === family && pool.length > 0) return pool.text;
  throw new UserError('ADDRESSES_REQUIRED', `pool ${text} is not an IPv${family} network`, {
    hint: 'create the network with --ipam-driver weir',
  });
}

/** What an IPAM driver gave for one family: pools, and the first gateway. */
function addressing(body: PluginBody, family: Family): { pools: string[]; gateway?: string } {
  const data = objectsOf(body, `IPv${family}Data`);
  const pools = data.map((item) => poolOf(bodyText(item, 'Pool'), family));
  const gateway = data.map((item) => bodyText(item, 'Gateway')).find((text) => text !== '');
  return gateway === undefined ? { pools } : { pools, gateway: addressOf(gateway) };
}

export function parseNetworkRequest(body: PluginBody): NetworkRequest {
  const id = idOf(body, 'NetworkID');
  const options = bodyObject(body, 'Options');
  const [four, six] = [addressing(body, 4), addressing(body, 6)];
  const pools = [...four.pools, ...six.pools];
  if (pools.length === 0) {
    throw new UserError('ADDRESSES_REQUIRED', 'a weir network needs addresses, IPv4 or IPv6', {
      hint: 'create it with --ipam-driver weir, and with --ipv6 where it has --ipv4=false',
    });
  }
  const ofNetwork = parseNetworkOptions(bodyObject(options, 'com.docker.network.generic'));
  if (six.pools.length > 0) checkIpv6Mtu(ofNetwork);
  return {
    id,
    internal: isTrue(options['com.docker.network.internal']),
    options: ofNetwork,
    pools,
    gateways: {
      ...(four.gateway !== undefined && { ipv4: four.gateway }),
      ...(six.gateway !== undefined && { ipv6: six.gateway }),
    },
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

/** Whether it is of the family, and not IPv4 in disguise (::ffff:10.0.0.5), which the datapath's maps cannot tell from it. */
function isOfFamily(address: string, family: Family): boolean {
  return familyOf(address) === family && addressFromBytes(addressBytes(address)) === address;
}

/** Address and on-link prefix of "10.0.0.5/32"; Docker hands on what the IPAM driver gave, mask included. */
function interfaceAddress(text: string, family: Family): { address: string; onLink?: string } {
  const most = addressBits(family);
  const [written = '', digits = String(most)] = text.split('/');
  const address = tryAddress(written);
  const length = /^\d{1,3}$/.test(digits) ? Number(digits) : 0;
  if (address === undefined || !isOfFamily(address, family) || length < 1 || length > most) {
    throw bad(
      `the endpoint has no IPv${family} address: ${JSON.stringify(text)}`,
      'create the network with --ipam-driver weir',
    );
  }
  const onLink = onLinkPrefix(address, length);
  return onLink === undefined ? { address } : { address, onLink };
}

function placeOf(given: PluginBody): Place {
  const [ipv4, ipv6] = [bodyText(given, 'Address'), bodyText(given, 'AddressIPv6')];
  const place: Place = {};
  if (ipv4 !== '' || ipv6 === '') {
    const { address, onLink } = interfaceAddress(ipv4, 4);
    place.ipv4 = address;
    if (onLink !== undefined) place.onLink = onLink;
  }
  if (ipv6 !== '') {
    const { address, onLink } = interfaceAddress(ipv6, 6);
    place.ipv6 = address;
    if (onLink !== undefined) place.onLink6 = onLink;
  }
  return place;
}

export function parseEndpointRequest(body: PluginBody): EndpointRequest {
  const networkId = idOf(body, 'NetworkID');
  const endpointId = idOf(body, 'EndpointID');
  const given = bodyObject(body, 'Interface');
  checkEndpointOptions(bodyObject(body, 'Options'));
  // what can never be published is refused before anything is made
  parsePortRequests(body);
  const mac = bodyText(given, 'MacAddress');
  return {
    networkId,
    endpointId,
    place: placeOf(given),
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
