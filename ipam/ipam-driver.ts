/** Docker's IpamDriver protocol, spoken for an `Ipam`. */
import express from 'express';
import type { Router } from 'express';
import {
  UserError,
  bodyFlag,
  bodyObject,
  bodyText,
  pluginHandler,
  requiredText,
  systemClock,
} from '../base/index.ts';
import type { Clock, Family, Log, PluginBody, PluginMethod } from '../base/index.ts';
import type { Ipam } from './ipam.ts';
import { clusterFlag } from './pool-registry.ts';

export interface IpamDriverOptions {
  log: Log;
  clock?: Clock;
}

const GATEWAY = 'com.docker.network.gateway';
/**
 * libnetwork asks again for a pool, without pause and for ever, while it overlaps a route or a name server of the host.
 * No user creates networks at this rate.
 */
const LOOP = { calls: 1000, withinMs: 10_000 };

/** Router of the IpamDriver calls; see base's pluginHandler for how failures are answered. */
export function createIpamDriver(ipam: Ipam, { log, clock = systemClock }: IpamDriverOptions): Router {
  const router = express.Router();
  const isLoop = loopDetector(clock);
  for (const method of methodsOf(ipam)) {
    const run = (body: PluginBody): object | Promise<object> => {
      if (isLoop(method.name === 'RequestPool' && bodyText(body, 'Pool') === ''))
        throw rejectedByDocker(ipam, bodyFlag(body, 'V6') ? 6 : 4);
      return method.run(body);
    };
    const name = `IpamDriver.${method.name}`;
    router.post(`/${name}`, pluginHandler({ ...method, name, run }, log));
  }
  return router;
}

/** Says of each call whether it is one too many of those that can be a loop. */
function loopDetector(clock: Clock): (canBeLoop: boolean) => boolean {
  let [calls, since] = [0, 0];
  return (canBeLoop) => {
    const isNew = !canBeLoop || clock.now() - since > LOOP.withinMs;
    if (isNew) [calls, since] = [0, clock.now()];
    if (canBeLoop) calls++;
    return calls > LOOP.calls;
  };
}

function methodsOf(ipam: Ipam): PluginMethod[] {
  return [
    {
      name: 'GetCapabilities',
      bodyless: true,
      run: () => ({ RequiresMACAddress: false, RequiresRequestReplay: false }),
    },
    {
      name: 'GetDefaultAddressSpaces',
      bodyless: true,
      run: () => {
        // asked by whoever begins to use the driver: dockerd when it starts, and each swarm manager that takes over
        ipam.expectReplay();
        return { LocalDefaultAddressSpace: 'local', GlobalDefaultAddressSpace: 'global' };
      },
    },
    { name: 'RequestPool', run: (body) => requestPool(ipam, body) },
    { name: 'ReleasePool', run: (body) => done(ipam.releasePool(requiredText(body, 'PoolID'))) },
    { name: 'RequestAddress', run: (body) => requestAddress(ipam, body) },
    {
      name: 'ReleaseAddress',
      run: (body) => done(ipam.releaseAddress(requiredText(body, 'PoolID'), requiredText(body, 'Address'))),
    },
  ];
}

async function requestPool(ipam: Ipam, body: PluginBody): Promise<object> {
  refuseOptions(bodyObject(body, 'Options'));
  const { id, cidr, gateway } = await ipam.requestPool({
    space: requiredText(body, 'AddressSpace'),
    subnet: bodyText(body, 'Pool'),
    range: bodyText(body, 'SubPool'),
    ipv6: bodyFlag(body, 'V6'),
  });
  return { PoolID: id, Pool: cidr, Data: gateway === undefined ? {} : { [GATEWAY]: gateway } };
}

async function requestAddress(ipam: Ipam, body: PluginBody): Promise<object> {
  const isGateway = bodyText(bodyObject(body, 'Options'), 'RequestAddressType') === GATEWAY;
  const address = await ipam.requestAddress({
    poolId: requiredText(body, 'PoolID'),
    address: bodyText(body, 'Address'),
    isGateway,
  });
  return { Address: address, Data: {} };
}

async function done(work: Promise<void>): Promise<object> {
  await work;
  return {};
}

/** Docker's own options are hints that weir does not need; a user's would be ignored in silence. */
function refuseOptions(options: PluginBody): void {
  const unknown = Object.keys(options).find((name) => !name.startsWith('com.docker.'));
  if (unknown !== undefined) {
    throw new UserError('IPAM_OPTION_UNKNOWN', `IPAM option ${JSON.stringify(unknown)} is not known`, {
      hint: 'weir takes no --ipam-opt',
    });
  }
}

function rejectedByDocker(ipam: Ipam, family: Family): UserError {
  const message = `Docker finds that the node prefix ${ipam.nodePrefix(family).text} overlaps a route or a name server of this host`;
  return new UserError('POOL_OVERLAP', message, {
    hint: `start the agent with another ${clusterFlag(family)}`,
  });
}
