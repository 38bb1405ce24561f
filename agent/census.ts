/** Who is on this host at one moment: identities, the containers behind them, and the addresses these have. */
import type { api } from '../base/index.ts';
import { RESERVED } from '../identity/index.ts';
import type { Peer } from '../policy/index.ts';
import type { Parts } from './parts.ts';

const PROTOCOLS = { tcp: 6, udp: 17 };

/** A container's place at an address. */
interface Place {
  peer: Peer;
  endpointId: number;
  containerName: string;
}

export class Census {
  /** The host, the world and the identity of every endpoint, each once. */
  readonly peers: readonly Peer[];
  /** Ports of containers that are ports of the host too, by identity. */
  readonly published = new Map<number, { protocol: number; port: number }[]>();
  readonly #labelsOf: (identity: number) => string[];
  readonly #names = new Map<number, Set<string>>();
  readonly #places = new Map<string, Place>();
  readonly #internal = new Set<number>();

  constructor({ endpoints, datapath, labelsOf }: Pick<Parts, 'endpoints' | 'datapath' | 'labelsOf'>) {
    this.#labelsOf = labelsOf;
    const known = new Map<number, Peer>();
    const peerOf = (id: number): Peer => {
      const peer = known.get(id) ?? { id, labels: labelsOf(id) };
      known.set(id, peer);
      return peer;
    };
    peerOf(RESERVED.host);
    peerOf(RESERVED.world);
    for (const { identity, ipv4, ipv6, endpointId = 0, containerName } of endpoints.list()) {
      if (identity === 0) continue;
      const place = { peer: peerOf(identity), endpointId, containerName };
      for (const address of [ipv4, ipv6]) if (address !== '') this.#places.set(address, place);
      const names = this.#names.get(identity) ?? new Set();
      this.#names.set(identity, containerName === '' ? names : names.add(containerName));
    }
    for (const { owner } of datapath.endpoints.list()) if (owner?.noWorld) this.#internal.add(owner.identity);
    this.peers = [...known.values()];
    this.#readPorts(endpoints.list(), datapath);
  }

  #readPorts(endpoints: readonly { key: string; identity: number }[], { services }: Parts['datapath']): void {
    const identities = new Map(endpoints.map(({ key, identity }) => [key, identity]));
    for (const { key, protocol, port } of services.list()) {
      const identity = identities.get(key);
      if (identity === undefined) continue;
      const ports = this.published.get(identity) ?? [];
      this.published.set(identity, [...ports, { protocol: PROTOCOLS[protocol], port }]);
    }
  }

  /** Whether all networks of an identity are internal. */
  isInternal(identity: number): boolean {
    return this.#internal.has(identity);
  }

  /** Names of the containers that have an identity. */
  containersOf(identity: number): string[] {
    return [...(this.#names.get(identity) ?? [])].toSorted();
  }

  /** The endpoint at an address, or the host where `identity` says so; undefined for an address outside. */
  at(address: string, identity: number): Peer | undefined {
    const place = this.#places.get(address);
    return place?.peer ?? this.peers.find(({ id }) => id === RESERVED.host && id === identity);
  }

  /** An address as one side of a flow. */
  sideOf(ip: string, identity: number, port: number | undefined): api.FlowPeer {
    const { endpointId = 0, containerName = '' } = this.#places.get(ip) ?? {};
    return {
      ip,
      ...(port !== undefined && { port }),
      identity,
      labels: this.#labelsOf(identity),
      ...(endpointId !== 0 && { endpointId }),
      ...(containerName !== '' && { containerName }),
    };
  }
}
