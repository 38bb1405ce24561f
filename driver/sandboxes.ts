/**
 * Endpoints of one container are one: they share an identity, its container's labels and all its networks. Whatever
 * joins, leaves, or is learnt later, the whole sandbox is settled anew.
 */
import { networkLabel, RESERVED } from '../identity/index.ts';
import type { EndpointDatapath, IdentitySource, LabelAdmission, Owner } from './contract.ts';
import type { Endpoint } from './endpoint.ts';
import type { Network, Networks } from './networks.ts';

export interface SandboxOptions {
  networks: Networks;
  datapath: EndpointDatapath;
  identities: IdentitySource;
  filter: LabelAdmission;
}

function sameOwner(a: Owner | undefined, b: Owner): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

export class Sandboxes {
  readonly #options: SandboxOptions;

  constructor(options: SandboxOptions) {
    this.#options = options;
  }

  /**
   * Brings the endpoints of one sandbox, all of them joined, under one identity. Without an answer from Docker that is
   * `init`, which no default admits anywhere. Not to run twice at once for one sandbox. The first failure ends it; what
   * was done before stays, and settling again completes the rest.
   */
  async settle(members: Endpoint[]): Promise<void> {
    const networks = members.map((member) => this.#options.networks.get(member.networkId));
    const labels = this.#labelsOf(members, networks);
    const shared = {
      spaces:
        labels === undefined
          ? []
          : [...new Set(networks.map((network) => network.space))].sort((a, b) => a - b),
      noWorld: networks.every((network) => network.internal),
    };
    for (const member of members) await this.#settleOne(member, labels, shared);
  }

  /** Undefined while the container or the name of one of its networks is unknown. */
  #labelsOf(members: Endpoint[], networks: Network[]): string[] | undefined {
    const container = members.find((member) => member.container !== undefined)?.container;
    const names = networks.map((network) => network.name).filter((name) => name !== undefined);
    if (container === undefined || names.length < networks.length) return undefined;
    for (const member of members) member.container ??= container;
    return [...this.#options.filter.admit(container.labels), ...new Set(names.map(networkLabel))];
  }

  async #settleOne(
    member: Endpoint,
    labels: string[] | undefined,
    shared: Pick<Owner, 'spaces' | 'noWorld'>,
  ): Promise<void> {
    const { identities, datapath } = this.#options;
    const identity = labels === undefined ? RESERVED.init : (await identities.acquire(labels, member.key)).id;
    const owner: Owner = {
      containerId: member.container?.id ?? '',
      containerName: member.container?.name ?? '',
      identity,
      ...shared,
      ...(member.audit === true && { audit: true }),
    };
    if (sameOwner(member.owner, owner)) return;
    await datapath.activateEndpoint(member.key, owner);
    if (labels === undefined) await identities.release(member.key);
    member.owner = owner;
    member.labels = labels ?? ['reserved:init'];
  }
}

/** Those that the endpoints are in. */
export function sandboxesOf(endpoints: Endpoint[]): Set<string> {
  return new Set(endpoints.map(({ sandbox }) => sandbox).filter((sandbox) => sandbox !== undefined));
}
