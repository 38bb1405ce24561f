/**
 * Policy put into force: rules and identities in, map entries out. Holds which identities exist here, compiles rules
 * over them, and keeps ipcache and policy map in step, so that no packet meets a rule whose peers are not there yet.
 */
import { reservedIdentities } from '../identity/index.ts';
import type { CidrIdentities, CidrIdentity } from '../identity/index.ts';
import { compile, resolve, tellApart } from '../policy/index.ts';
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
  /** The address ranges that have identities now: at rest those of the policy in force. */
  #ranges: CidrIdentity[];
  /** While restoring, the generation that an earlier process left stays in force and nothing is added to it. */
  #isRestoring = true;

  constructor(options: EnforcementOptions) {
    this.#options = options;
    this.#ranges = options.cidrs.list();
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

  /**
   * Makes `rules` the policy: in force, whole, when it returns. Throws with the old policy still in force, and
   * UserError POLICY_TOO_LARGE where the kernel has no room for it.
   */
  apply(rules: readonly Rule[]): void {
    const compiled = compile(rules);
    if (this.#isRestoring) this.#compiled = compiled;
    else this.#enforce(compiled);
  }

  /** Ends the restoring: everything applied and admitted so far comes into force at once. */
  commit(): void {
    this.#enforce(this.#compiled);
    this.#isRestoring = false;
  }

  /**
   * Takes an identity in, as a subject and as everyone's peer. Idempotent; in force when it returns. Throws UserError
   * POLICY_TOO_LARGE with the identity not taken in.
   */
  admit(identity: number, labels: string[]): void {
    if (this.#subjects.has(identity)) return;
    const newcomer: Peer = { id: identity, labels };
    if (this.#isRestoring) {
      this.#subjects.set(identity, newcomer);
      return;
    }
    const context = this.#snapshot();
    try {
      for (const subject of this.#subjects.values())
        this.#add(this.#compiled, { subject, peers: [newcomer], context });
      this.#subjects.set(identity, newcomer);
      this.#add(this.#compiled, { subject: newcomer, peers: this.#peers(), context });
    } catch (error) {
      this.#subjects.set(identity, newcomer);
      this.forget(identity);
      throw error;
    }
  }

  /** Takes an identity out with all its entries; it must have no endpoint left. */
  forget(identity: number): void {
    if (!this.#subjects.delete(identity)) return;
    this.#enforced.delete(identity);
    this.#options.policyMap.remove([identity]);
  }

  /** Resolves everything again, as after a change of what networks share. */
  refresh(): void {
    if (!this.#isRestoring) this.#replace(this.#compiled);
  }

  /** Old and new policy both know the ranges of both while an address may be called by either. */
  #enforce(compiled: CompiledPolicy): void {
    const before = this.#ranges.map(({ cidr }) => cidr);
    try {
      this.#widen(compiled.cidrs);
      this.#replace(compiled);
    } catch (error) {
      this.#narrow(before);
      throw error;
    }
    this.#compiled = compiled;
    this.#narrow(compiled.cidrs);
  }

  /** Gives further ranges identities: first in the policy in force, then addresses are called by them. */
  #widen(cidrs: readonly string[]): void {
    const { ipcache, cidrs: identities } = this.#options;
    const known = new Set(this.#ranges.map(({ cidr }) => cidr));
    if (cidrs.every((cidr) => known.has(cidr))) return;
    this.#ranges = identities.follow([...known, ...cidrs]);
    if (!this.#isRestoring) this.#addRanges(this.#ranges.filter(({ cidr }) => !known.has(cidr)));
    ipcache.update({ policy: this.#ranges });
  }

  #addRanges(peers: Peer[]): void {
    const wide = this.#tellApart(this.#compiled);
    const context = this.#snapshot();
    for (const subject of this.#subjects.values()) this.#add(wide, { subject, peers, context });
  }

  /** Leaves identities to these ranges only: addresses are called by what is around the others before those go. */
  #narrow(cidrs: readonly string[]): void {
    const { ipcache, cidrs: identities, policyMap } = this.#options;
    const kept = new Set(cidrs);
    const gone = this.#ranges.filter(({ cidr }) => !kept.has(cidr));
    if (gone.length === 0) return;
    this.#ranges = identities.follow(cidrs);
    ipcache.update({ policy: this.#ranges });
    policyMap.remove(gone.map(({ id }) => id));
  }

  #replace(policy: CompiledPolicy): void {
    const wide = this.#tellApart(policy);
    const peers = this.#peers();
    const context = this.#snapshot();
    const desired = new Map<number, PolicyEntry[]>();
    const enforced = new Map<number, Enforced>();
    for (const subject of this.#subjects.values()) {
      const { entries, ingressEnforced, egressEnforced } = resolve(wide, subject, peers, context);
      desired.set(subject.id, entries);
      enforced.set(subject.id, { ingress: ingressEnforced, egress: egressEnforced });
    }
    this.#options.policyMap.replace(desired);
    for (const [id, value] of enforced) this.#enforced.set(id, value);
  }

  #add(policy: CompiledPolicy, question: { subject: Peer; peers: Peer[]; context: PolicyContext }): void {
    const { subject, peers, context } = question;
    const { entries, ingressEnforced, egressEnforced } = resolve(policy, subject, peers, context);
    this.#options.policyMap.add(subject.id, entries);
    this.#enforced.set(subject.id, { ingress: ingressEnforced, egress: egressEnforced });
  }

  #tellApart(policy: CompiledPolicy): CompiledPolicy {
    return tellApart(
      policy,
      this.#ranges.map(({ cidr }) => cidr),
    );
  }

  /** Networks change between questions, never within one. */
  #snapshot(): PolicyContext {
    const { context } = this.#options;
    const spaces = new Map<string, number>();
    const spaceOf = (network: string): number => {
      let space = spaces.get(network);
      if (space === undefined) spaces.set(network, (space = context.spaceOf(network)));
      return space;
    };
    return { mode: context.mode, spaceOf };
  }

  #peers(): Peer[] {
    const reserved = reservedIdentities().filter(({ id }) => !this.#subjects.has(id));
    return [...reserved, ...this.#ranges, ...this.#subjects.values()];
  }
}
