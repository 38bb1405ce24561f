import { NETWORK_LABEL, RESERVED, isEndpointIdentity, parseLabel } from '../identity/index.ts';
import type { Peer } from './isolation.ts';
import { LabelIndex } from './label-index.ts';
import type { LabelSelector, Operator } from './rule.ts';

interface Requirement {
  name: string;
  operator: Operator;
  values: ReadonlySet<string>;
}

/** A selector made ready to match. */
export class Selector {
  readonly text: string;
  /** Nothing is asked for: every endpoint, of whatever labels. */
  readonly isEmpty: boolean;
  /** Networks are named in it, so it is not scoped to the network of the subject. */
  readonly namesNetwork: boolean;
  readonly #namesInit: boolean;
  readonly #requirements: Requirement[];

  constructor(selector: LabelSelector) {
    this.#requirements = requirementsOf(selector);
    this.text = JSON.stringify(selector);
    this.isEmpty = this.#requirements.length === 0;
    this.namesNetwork = this.#requirements.some(({ name }) => name === NETWORK_LABEL);
    this.#namesInit = this.#requirements.some(({ name }) => name === 'reserved:init');
  }

  /**
   * Whether an endpoint has the labels; nothing but an endpoint ever does. One whose labels are not known yet (init) must
   * be named as such: it would match `{}` and every NotIn today and not tomorrow.
   */
  matches(peer: Peer): boolean {
    if (peer.id === RESERVED.init ? !this.#namesInit : !isEndpointIdentity(peer.id)) return false;
    const labels = LabelIndex.of(peer.labels);
    return this.#requirements.every((requirement) => isMet(requirement, labels.values(requirement.name)));
  }
}

function isMet({ operator, values }: Requirement, found: ReadonlySet<string> | undefined): boolean {
  switch (operator) {
    case 'Exists':
      return found !== undefined;
    case 'DoesNotExist':
      return found === undefined;
    case 'In':
      return found !== undefined && [...found].some((value) => values.has(value));
    case 'NotIn':
      return found === undefined || ![...found].some((value) => values.has(value));
    default:
      return operator satisfies never;
  }
}

function requirementsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Requirement[] {
  const equal = Object.entries(matchLabels).map(([key, value]): Requirement => {
    return { name: nameOf(key), operator: 'In', values: new Set([value]) };
  });
  const others = matchExpressions.map(({ key, operator, values = [] }): Requirement => {
    return { name: nameOf(key), operator, values: new Set(values) };
  });
  return [...equal, ...others];
}

function nameOf(text: string): string {
  const { source, key } = parseLabel(text, 'any');
  return `${source}:${key}`;
}
