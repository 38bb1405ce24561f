/** The rig under policies that are put into force as the agent does: enforcement, policy map and ipcache are its own. */
import { Enforcement } from '../../datapath/enforcement.ts';
import { Ipcache } from '../../datapath/ipcache.ts';
import { PolicyMap } from '../../datapath/policy-map.ts';
import { canonicalLabels, CidrIdentities, networkLabel, RESERVED } from '../../identity/index.ts';
import type { CompiledPolicy, PolicyContext, PolicyMode, Rule } from '../../policy/index.ts';
import type { ModelPeer } from '../../policy/model.test-support.ts';
import { CASTS, client, db, stranger, web } from '../support/cast.ts';
import type { Rig } from './rig.ts';

/** Where random endpoints live: one each, all of different containers. */
export const PLACES = [web, db, client, stranger] as const;

const SPACES: Record<string, number> = { front: 2, back: 3, open1: 1, open2: 1 };

export class EnforcedRig {
  readonly #rig: Rig;
  readonly #enforcement: Enforcement;
  readonly #policyMap: PolicyMap;
  readonly #numbers = new Map<string, number>();
  #present = new Map<number, string[]>();
  #mode: PolicyMode = 'default';
  #next = 1000;

  constructor(rig: Rig) {
    this.#rig = rig;
    rig.reset();
    const ipcache = new Ipcache(rig.maps.ipcache);
    ipcache.update({
      cluster: CASTS.map(({ nobody }) => nobody.cidr),
      host: CASTS.flatMap(({ host, uplink }) => [host.ip, uplink.ip]),
    });
    const cidrs = new CidrIdentities(ipcache.sources.policy);
    const mode = (): PolicyMode => this.#mode;
    const context: PolicyContext = {
      get mode() {
        return mode();
      },
      spaceOf: (network) => SPACES[network] ?? 0,
    };
    const policyMap = new PolicyMap(rig.maps);
    this.#policyMap = policyMap;
    this.#enforcement = new Enforcement({ policyMap, ipcache, cidrs, context });
    this.#enforcement.admit(RESERVED.init, ['reserved:init']);
    this.#enforcement.commit();
  }

  /** Before the rig itself. */
  close(): void {
    this.#policyMap.close();
  }

  get compiled(): CompiledPolicy {
    return this.#enforcement.compiled;
  }

  get context(): PolicyContext {
    return this.#enforcement.context;
  }

  /** These rules over these endpoints, one a place. Who stays keeps the number, as endpoints come and go. */
  become(rules: Rule[], inhabitants: readonly ModelPeer[], mode: PolicyMode): void {
    const wanted = new Map(inhabitants.map((peer) => [this.#numberOf(peer), this.labelsOf(peer)]));
    wanted.delete(RESERVED.init);
    for (const id of this.#present.keys()) if (!wanted.has(id)) this.#enforcement.forget(id);
    this.#mode = mode;
    this.#enforcement.apply(rules);
    for (const [id, labels] of wanted) this.#enforcement.admit(id, labels);
    this.#present = wanted;
    for (const [at, role] of PLACES.entries()) {
      const peer = inhabitants[at];
      if (peer === undefined) continue;
      const spaces = peer.kind === 'endpoint' ? peer.networks.map((network) => SPACES[network] ?? 0) : [];
      this.#rig.place(role, { identity: this.#numberOf(peer), spaces: [...new Set(spaces)] });
    }
  }

  /** As the agent and `policy trace` name it. */
  labelsOf(peer: ModelPeer): string[] {
    if (peer.kind === 'init') return ['reserved:init'];
    if (peer.kind === 'reserved') return [`reserved:${peer.name}`];
    if (peer.kind === 'address') return [`cidr:${peer.address}`];
    const own = peer.labels.map(([source, key, value]) => `${source}:${key}=${value}`);
    return canonicalLabels([...own, ...peer.networks.map(networkLabel)]);
  }

  #numberOf(peer: ModelPeer): number {
    if (peer.kind === 'init') return RESERVED.init;
    const labels = this.labelsOf(peer).join();
    const number = this.#numbers.get(labels) ?? this.#next++;
    this.#numbers.set(labels, number);
    return number;
  }
}
