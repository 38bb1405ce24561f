/**
 * The numbers by which the datapath knows that two endpoints are of one container, so that each may speak with the
 * other's address. No number ever stands for two containers: one is given once in the life of the maps.
 */
interface Holding {
  container: string;
  number: number;
}

export class ContainerNumbers {
  readonly #byEndpoint = new Map<string, Holding>();
  #last: number;

  /** `highest`: of the numbers that are in the maps already. */
  constructor(highest = 0) {
    this.#last = highest;
  }

  /** An endpoint keeps the number that it had before a restart; whose it is will be told by `assign`. */
  adopt(endpoint: string, number: number): void {
    if (number !== 0) this.#byEndpoint.set(endpoint, { container: '', number });
  }

  /** The number of an endpoint's container; an endpoint whose container is unknown (empty) is one of its own. */
  assign(endpoint: string, container: string): number {
    const known = this.#byEndpoint.get(endpoint);
    const number = this.#numberOf(container) ?? this.#kept(known, container) ?? ++this.#last;
    this.#byEndpoint.set(endpoint, { container, number });
    return number;
  }

  release(endpoint: string): void {
    this.#byEndpoint.delete(endpoint);
  }

  #numberOf(container: string): number | undefined {
    if (container === '') return undefined;
    for (const holding of this.#byEndpoint.values())
      if (holding.container === container) return holding.number;
    return undefined;
  }

  /** Its own number stays, unless another container has it. */
  #kept(known: Holding | undefined, container: string): number | undefined {
    if (known === undefined) return undefined;
    const others = [...this.#byEndpoint.values()].filter(
      (holding) => holding !== known && holding.number === known.number,
    );
    const isTaken = others.some((holding) => container === '' || holding.container !== '');
    return isTaken ? undefined : known.number;
  }
}
