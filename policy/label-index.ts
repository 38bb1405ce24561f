import { NETWORK_LABEL, parseLabel } from '../identity/index.ts';

const NONE: ReadonlySet<string> = new Set();

/**
 * Values by `source:key`, and by `any:key` over all sources of the container. Labels that weir gives, `weir:` and
 * `reserved:`, are found only under their source: a network's name is no claim of the container.
 */
export class LabelIndex {
  /** One index per label array, kept as long as the array: an identity's labels never change. */
  static readonly #known = new WeakMap<readonly string[], LabelIndex>();
  readonly #values = new Map<string, Set<string>>();

  private constructor(labels: readonly string[]) {
    for (const text of labels) {
      const { source, key, value } = parseLabel(text);
      this.#add(`${source}:${key}`, value);
      if (source !== 'weir' && source !== 'reserved') this.#add(`any:${key}`, value);
    }
  }

  static of(labels: readonly string[]): LabelIndex {
    let index = LabelIndex.#known.get(labels);
    if (index === undefined) LabelIndex.#known.set(labels, (index = new LabelIndex(labels)));
    return index;
  }

  /** Undefined if the key is not there. */
  values(name: string): ReadonlySet<string> | undefined {
    return this.#values.get(name);
  }

  get networks(): ReadonlySet<string> {
    return this.#values.get(NETWORK_LABEL) ?? NONE;
  }

  #add(name: string, value: string): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, new Set([value]));
    else values.add(value);
  }
}
