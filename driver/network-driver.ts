/** The NetworkDriver methods of Docker's plugin protocol. */
import { Router } from 'express';
import { type Log, type PluginBody, pluginHandler } from '../base/index.ts';
import type { Endpoints } from './endpoints.ts';
import type { Network, Networks } from './networks.ts';
import { parsePortRequests } from './port-request.ts';
import { idOf, parseEndpointRequest, parseJoinRequest, parseNetworkRequest } from './request.ts';

export interface NetworkDriverOptions {
  networks: Networks;
  endpoints: Endpoints;
  /** Told of each network that is made, before Docker has the answer. */
  onNetwork?: (network: Network) => void;
  /** Local: each host has its own networks. Global: a swarm's managers make them and give their addresses. */
  scope?: 'local' | 'global';
  log: Log;
}

/** Router of all NetworkDriver calls; see base's pluginHandler for how failures are answered. */
export function createNetworkDriver(options: NetworkDriverOptions): Router {
  const router = Router();
  for (const [method, run] of Object.entries({ ...networkMethods(options), ...endpointMethods(options) })) {
    const name = `NetworkDriver.${method}`;
    router.post(
      `/${name}`,
      pluginHandler({ name, run, bodyless: method === 'GetCapabilities' }, options.log),
    );
  }
  return router;
}

type Methods = Record<string, (body: PluginBody) => object | Promise<object>>;

function networkMethods({ networks, endpoints, onNetwork, scope = 'local' }: NetworkDriverOptions): Methods {
  return {
    GetCapabilities: () => ({ Scope: scope, ConnectivityScope: 'global', GwAllocChecker: true }),
    // dockerd 28 asks before it takes an address for the gateway: weir's are link-local
    GwAllocCheck: () => ({ SkipIPv4: true, SkipIPv6: true }),
    CreateNetwork: async (body) => {
      const network = await networks.create(parseNetworkRequest(body));
      onNetwork?.(network);
      return {};
    },
    DeleteNetwork: async (body) => {
      await deleteNetwork(networks, endpoints, idOf(body, 'NetworkID'));
      return {};
    },
    // swarm's manager asks for a network's options; weir has none to add
    AllocateNetwork: (body) => (idOf(body, 'NetworkID'), { Options: {} }),
    FreeNetwork: (body) => (idOf(body, 'NetworkID'), {}),
    // other nodes of a swarm; weir's agents find each other themselves
    DiscoverNew: () => ({}),
    DiscoverDelete: () => ({}),
  };
}

function endpointMethods({ endpoints }: NetworkDriverOptions): Methods {
  return {
    CreateEndpoint: async (body) => {
      const request = parseEndpointRequest(body);
      const mac = await endpoints.create(request);
      // a field that came filled may not be answered: "Cannot be modified"
      return { Interface: request.mac === undefined ? { MacAddress: mac } : {} };
    },
    DeleteEndpoint: async (body) => {
      await endpoints.remove(idOf(body, 'EndpointID'));
      return {};
    },
    EndpointOperInfo: (body) => (idOf(body, 'EndpointID'), { Value: {} }),
    Join: (body) => endpoints.join(parseJoinRequest(body)),
    Leave: async (body) => {
      await endpoints.leave(idOf(body, 'EndpointID'));
      return {};
    },
    ProgramExternalConnectivity: async (body) => {
      const [networkId, endpointId] = [idOf(body, 'NetworkID'), idOf(body, 'EndpointID')];
      await endpoints.publish({ networkId, endpointId, ports: parsePortRequests(body) });
      return {};
    },
    RevokeExternalConnectivity: async (body) => {
      await endpoints.unpublish(idOf(body, 'EndpointID'));
      return {};
    },
  };
}

/** With the endpoints on it, which Docker no longer has. Idempotent. */
export async function deleteNetwork(networks: Networks, endpoints: Endpoints, id: string): Promise<void> {
  const left = endpoints.list().filter((endpoint) => endpoint.networkId === id);
  for (const endpoint of left) await endpoints.remove(endpoint.key);
  await networks.remove(id);
}
