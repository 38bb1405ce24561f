/** What Docker is told about the interface of a container. */
import { BugError, familyOf } from '../base/index.ts';
import type { Endpoint } from './endpoint.ts';
import { type StaticRoute, staticRoutes } from './static-routes.ts';

export interface JoinAnswer {
  InterfaceName: { SrcName: string; DstPrefix: string };
  Gateway?: string;
  GatewayIPv6?: string;
  StaticRoutes: StaticRoute[];
  DisableGatewayService: true;
}

/** Where the answer has the next hop of a family. */
const GATEWAY_FIELD = { 4: 'Gateway', 6: 'GatewayIPv6' } as const;

export function joinAnswer({ attachment, routes }: Endpoint, gateways: string[]): JoinAnswer {
  if (attachment === undefined) throw new BugError('join an endpoint that has no interface');
  return {
    InterfaceName: { SrcName: attachment.containerInterface, DstPrefix: 'eth' },
    // also where it is --internal: the datapath keeps such a container from the world, not its routes
    ...Object.fromEntries(gateways.map((gateway) => [GATEWAY_FIELD[familyOf(gateway)], gateway])),
    StaticRoutes: staticRoutes(gateways, routes),
    DisableGatewayService: true,
  };
}
