/** What the numbers in flow events mean on this host right now. */
import { systemClock } from '../base/index.ts';
import { dropReason } from '../bpf/index.ts';
import type { Endpoint } from '../datapath/index.ts';
import { WallClock } from '../observe/index.ts';
import type { FlowNames } from '../observe/index.ts';
import type { Rule } from '../policy/index.ts';

/** Revisions whose rules are remembered, so that an event which is read late still names its rule. */
const REMEMBERED = 16;

export interface FlowNameSources {
  endpoints: () => Endpoint[];
  labelsOf: (identity: number) => string[];
  interfaceName: (ifindex: number) => string;
}

/** Remembers which revision each generation of the policy map stood for, and the rules of each revision. */
export class Generations {
  readonly #revisions = new Map<number, number>();
  readonly #rules = new Map<number, readonly Rule[]>();

  note(generation: number, revision: number, rules: readonly Rule[]): void {
    remember(this.#revisions, generation, revision);
    remember(this.#rules, revision, rules);
  }

  /** 0 where it is forgotten. A generation that nobody noted is the one before it, resolved anew. */
  revisionOf(generation: number): number {
    let revision = 0;
    for (const [noted, its] of this.#revisions) if (noted <= generation) revision = its;
    return revision;
  }

  ruleLabels(rule: number, revision: number): string[] {
    return this.#find(rule, revision)?.labels ?? [];
  }

  ruleLog(rule: number, revision: number): string | undefined {
    return this.#find(rule, revision)?.log?.value;
  }

  #find(rule: number, revision: number): Rule | undefined {
    return this.#rules.get(revision)?.[rule - 1];
  }
}

function remember<V>(map: Map<number, V>, key: number, value: V): void {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}

export function flowNames(sources: FlowNameSources, generations: Generations): FlowNames {
  const clock = new WallClock(systemClock);
  return {
    containerName: (number, address) =>
      sources
        .endpoints()
        .find((item) => (number === 0 ? item.addresses.includes(address) : item.endpointId === number))?.owner
        ?.containerName,
    identityLabels: sources.labelsOf,
    ruleLabels: (rule, revision) => generations.ruleLabels(rule, revision),
    ruleLog: (rule, revision) => generations.ruleLog(rule, revision),
    // most packets are met at an endpoint's device; the others are asked for
    interfaceName: (ifindex) =>
      sources.endpoints().find((item) => item.ifindex === ifindex)?.hostInterface ??
      sources.interfaceName(ifindex),
    dropReason,
    time: (ns) => clock.format(ns),
  };
}
