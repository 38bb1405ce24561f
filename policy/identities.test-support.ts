/** The peers of the model as the code under test knows them. */
import { cidrContains, parseCidr } from '../base/index.ts';
import { CidrIdentities, RESERVED, canonicalLabels, networkLabel } from '../identity/index.ts';
import type { Peer, PolicyContext } from './isolation.ts';
import type { ModelContext, ModelPeer } from './model.test-support.ts';

const SPACES: Record<string, number> = { front: 2, back: 3, open1: 1, open2: 1 };

export function contextOf({ mode }: Pick<ModelContext, 'mode'>): PolicyContext {
  return { mode, spaceOf: (network) => SPACES[network] ?? 0 };
}

/** Gives every peer of the model the identity that the agent would. */
export class Identities {
  readonly #cidrs: readonly string[];
  readonly #ranges: Peer[];
  readonly #numbers = new Map<string, number>();

  constructor(cidrs: readonly string[]) {
    this.#cidrs = cidrs;
    this.#ranges = new CidrIdentities().follow([...cidrs]);
  }

  get ranges(): Peer[] {
    return this.#ranges;
  }

  of(peer: ModelPeer): Peer {
    if (peer.kind === 'init') return { id: RESERVED.init, labels: ['reserved:init'] };
    if (peer.kind === 'reserved') return { id: RESERVED[peer.name], labels: [`reserved:${peer.name}`] };
    if (peer.kind === 'address') return this.#ofAddress(peer.address);
    const own = peer.labels.map(([source, key, value]) => `${source}:${key}=${value}`);
    const labels = canonicalLabels([...own, ...peer.networks.map(networkLabel)]);
    const id = this.#numbers.get(labels.join()) ?? 256 + this.#numbers.size;
    this.#numbers.set(labels.join(), id);
    return { id, labels };
  }

  /** As the ipcache does it: by the longest prefix. */
  #ofAddress(address: string): Peer {
    const around = this.#cidrs.filter((cidr) => cidrContains(parseCidr(cidr), address));
    const longest = around.toSorted((a, b) => parseCidr(b).length - parseCidr(a).length)[0];
    return (
      this.#ranges.find((range) => range.cidr === longest) ?? {
        id: RESERVED.world,
        labels: ['reserved:world'],
      }
    );
  }
}
