/**
 * Policy put into force: rules and identities in, map entries out. Holds which identities exist here, compiles rules
 * over them, and keeps ipcache and policy map in step, so that no packet meets a rule whose peers are not there yet.
 */
import { reservedIdentities } from '../identity/index.ts';
import type { CidrIdentities } from '../identity/index.ts';
import { compile, resolve } from '../policy/index.ts';
import type { CompiledPolicy, Peer, PolicyContext, PolicyEntry, Rule } from '../policy/index.ts';
import type { Ipcache } from './ipcache.ts';
import type { PolicyMap } from './policy-map.ts';

export interface Enforced {
  ingress: boolean;
  egress: boolean;
}

export interface EnforcementOptions {
  policyMap: PolicyMap;
  ipcache: Ipcache;
  cidrs: CidrIdentities;
  context: PolicyContext;
}

export class Enforcement {
  readonly #options: EnforcementOptions;
  readonly #subjects = new Map<number, Peer>();
  readonly #enforced = new Map<number, Enforced>();
  #compiled: CompiledPolicy = compile([]);
  #ranges: Peer[] = [];
  /** While restoring, the generation that an earlier process left stays in force and nothing is added to it. */
  #isRestoring = true;

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  get compiled(): CompiledPolicy {
    return this.#compiled;
  }

  get context(): PolicyContext {
    return this.#options.context;
  }

  /** Whether policy selects an identity, per direction. */
  enforced(identity: number): Enforced {
    return this.#enforced.get(identity) ?? { ingress: false, egress: false };
  }

  /** Makes `rules` the policy: in force, whole, when it returns. Throws with the old policy still in force. */
  apply(rules: Rule[]): void {
    const compiled = compile(rules);
    if (this.#isRestoring) this.#compiled = compiled;
    else this.#enforce(compiled);
  }

  /** Ends the restoring: everything applied and admitted so far comes into force at once. */
  commit(): void {
    this.#isRestoring = false;
    this.#enforce(this.#compiled);
  }

  /** Takes an identity in, as a subject and as everyone's peer. Idempotent; in force when it returns. */
  admit(identity: number, labels: string[]): void {
    if (this.#subjects.has(identity)) return;
    const newcomer: Peer = { id: identity, labels };
    if (this.#isRestoring) {
      this.#subjects.set(identity, newcomer);
      return;
    }
    for (const subject of this.#subjects.values()) this.#addPeers(subject, [newcomer]);
    this.#subjects.set(identity, newcomer);
    this.#addPeers(newcomer, this.#peers());
  }

  /** Takes an identity out with all its entries; it must have no endpoint left. */
  forget(identity: number): void {
    if (!this.#subjects.delete(identity)) return;
    this.#enforced.delete(identity);
    this.#options.policyMap.remove(identity);
  }

  /** Resolves everything again, as after a change of what networks share. */
  refresh(): void {
    if (!this.#isRestoring) this.#replace(this.#compiled);
  }

  #enforce(compiled: CompiledPolicy): void {
    const { cidrs, ipcache } = this.#options;
    const before = this.#ranges;
    const union = cidrs.follow([...this.#compiled.cidrs, ...compiled.cidrs]);
    // the old policy must know the new ranges before any address is called by one of them
    this.#ranges = union;
    const fresh = union.filter((range) => !before.some((old) => old.id === range.id));
    if (fresh.length > 0) for (const subject of this.#subjects.values()) this.#addPeers(subject, fresh);
    ipcache.update({ policy: union });
    this.#replace(compiled);
    this.#ranges = cidrs.follow(compiled.cidrs);
    ipcache.update({ policy: cidrs.list() });
    for (const range of union)
      if (!this.#ranges.some((left) => left.id === range.id)) this.#options.policyMap.remove(range.id);
  }

  #replace(compiled: CompiledPolicy): void {
    const peers = this.#peers();
    const desired = new Map<number, PolicyEntry[]>();
    const enforced = new Map<number, Enforced>();
    for (const subject of this.#subjects.values()) {
      const resolved = this.#resolve(compiled, subject, peers);
      desired.set(subject.id, resolved.entries);
      enforced.set(subject.id, resolved.enforced);
    }
    this.#options.policyMap.replace(desired);
    this.#compiled = compiled;
    for (const [id, value] of enforced) this.#enforced.set(id, value);
  }

  #addPeers(subject: Peer, peers: Peer[]): void {
    const { entries, enforced } = this.#resolve(this.#compiled, subject, peers);
    this.#options.policyMap.add(subject.id, entries);
    this.#enforced.set(subject.id, enforced);
  }

  #resolve(
    compiled: CompiledPolicy,
    subject: Peer,
    peers: Peer[],
  ): { entries: PolicyEntry[]; enforced: Enforced } {
    const { entries, ingressEnforced, egressEnforced } = resolve(
      compiled,
      subject,
      peers,
      this.#options.context,
    );
    return { entries, enforced: { ingress: ingressEnforced, egress: egressEnforced } };
  }

  #peers(): Peer[] {
    const reserved = reservedIdentities().filter(({ id }) => !this.#subjects.has(id));
    return [...reserved, ...this.#ranges, ...this.#subjects.values()];
  }
}
