/**
 * Routes of containers that are on networks of other drivers too. One of those may hold the default route, so the way to
 * weir's addresses is static: by one endpoint, the carrier, and around the container's own addresses, since dockerd
 * refuses an address that lies under a route. Docker takes static routes when a network is joined and never later: what
 * comes and goes while the container runs is changed in its own namespace.
 */
import { cidrContains, describeError, familyOf, type Log, parseCidr } from '../base/index.ts';
import type { SandboxRoute, SandboxRouting } from './contract.ts';
import { addressesOf, type Endpoint } from './endpoint.ts';
import type { Networks } from './networks.ts';
import { destinationsOf, hostPrefix } from './static-routes.ts';

export interface MixedRoutesOptions {
  networks: Networks;
  clusterCidrs: string[];
  routing: SandboxRouting;
  log: Log;
}

export class MixedRoutes {
  readonly #options: MixedRoutesOptions;

  constructor(options: MixedRoutesOptions) {
    this.#options = options;
  }

  /**
   * Sets what Join answers for the endpoint, and makes room for its addresses in the routes of the others, which run
   * already. Answers those others whose routes have changed.
   */
  join(endpoint: Endpoint, others: Endpoint[]): Endpoint[] {
    const members = [...others, endpoint];
    const carrier = this.#carrier(others) ?? (this.#isLast(endpoint, others) ? endpoint : undefined);
    const plan = this.#plan(members, carrier);
    endpoint.routes = plan.get(endpoint) ?? [];
    return this.#apply(others, plan);
  }

  /** Brings the routes of a running container to what its networks ask for now. Answers the endpoints whose routes have changed. */
  review(members: Endpoint[]): Endpoint[] {
    return this.#apply(members, this.#plan(members, this.#carrier(members) ?? members[0]));
  }

  /** Next hops of the families in which it has an address. */
  gateways({ networkId, ipv4, ipv6 }: Endpoint): string[] {
    const { gateway4, gateway6 } = this.#options.networks.get(networkId);
    const own = [ipv4 === undefined ? undefined : gateway4, ipv6 === undefined ? undefined : gateway6];
    return own.filter((gateway) => gateway !== undefined);
  }

  #carrier(members: Endpoint[]): Endpoint | undefined {
    const cluster = this.#options.clusterCidrs.map(parseCidr);
    const isOfCluster = (destination: string): boolean =>
      cluster.some((cidr) => cidrContains(cidr, parseCidr(destination)));
    return members.find(({ routes }) => routes.some(isOfCluster));
  }

  /** Whether all weir networks of its container that it was started with have been joined. */
  #isLast({ networkId, container }: Endpoint, others: Endpoint[]): boolean {
    const { networks } = this.#options;
    const joined = new Set(
      [networkId, ...others.map((other) => other.networkId)].map((id) => networks.get(id).name),
    );
    return (container?.networks ?? []).every((name) => joined.has(name) || this.#isForeign(name));
  }

  #isForeign(name: string): boolean {
    return this.#options.networks.spaceOf(name) === undefined;
  }

  /** The destinations of each endpoint of one container. */
  #plan(members: Endpoint[], carrier: Endpoint | undefined): Map<Endpoint, string[]> {
    const { networks, clusterCidrs } = this.#options;
    const names = members.flatMap(({ container }) => container?.networks ?? []);
    const isMixed = names.some((name) => this.#isForeign(name));
    const taken = new Set<string>();
    const plan = new Map<Endpoint, string[]>();
    for (const member of members) {
      const { networkId, onLink, onLink6 } = member;
      const destinations = destinationsOf({
        gateways: this.gateways(member),
        clusterCidrs,
        pools: networks.get(networkId).pools,
        onLink: [onLink, onLink6].filter((prefix) => prefix !== undefined),
        isMixed,
        carries: isMixed && member === carrier,
        around: members.filter((other) => other !== member).flatMap(addressesOf),
        taken,
      });
      for (const destination of destinations) taken.add(destination);
      plan.set(member, destinations);
    }
    return plan;
  }

  #apply(members: Endpoint[], plan: Map<Endpoint, string[]>): Endpoint[] {
    const changed = members.filter((member) => member.routes.join() !== plan.get(member)?.join());
    const [first] = changed;
    if (first?.sandbox === undefined) return [];
    const later = (member: Endpoint): string[] => plan.get(member) ?? [];
    // all of what stays too: a route of IPv6 goes with the interface of whoever was there first
    const add = members.flatMap((member) => this.#routesOf(member, later(member)));
    const kept = new Set(members.flatMap(later));
    const gone = (member: Endpoint): string[] =>
      member.routes.filter((destination) => !kept.has(destination));
    const remove = changed.flatMap((member) => this.#routesOf(member, gone(member)));
    try {
      if (add.length + remove.length > 0) this.#options.routing.change(first.sandbox, { add, remove });
    } catch (error) {
      const container = first.container?.name ?? first.sandbox;
      this.#options.log.warn('routes of a container not changed', {
        container,
        reason: describeError(error),
      });
      return [];
    }
    for (const member of changed) member.routes = later(member);
    return changed;
  }

  #routesOf(member: Endpoint, destinations: string[]): SandboxRoute[] {
    const gateways = this.gateways(member);
    return destinations.flatMap((destination) => {
      const { family } = parseCidr(destination);
      const gateway = gateways.find((hop) => familyOf(hop) === family);
      const address = addressesOf(member).find((own) => familyOf(own) === family);
      if (gateway === undefined || address === undefined || hostPrefix(gateway) === destination) return [];
      return [{ destination, gateway, address }];
    });
  }
}
