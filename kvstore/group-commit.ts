/** Many writers, one sync: requests that wait together are decided in order, written as one record, and answered together. */
import type { State, Stored } from './snapshot.ts';
import type { Transaction } from './journal.ts';

/** What a request sees: the state with all earlier requests of its group already in it. */
export type View = (key: string) => Stored | undefined;

/** A write before it has its revision. */
export type Write = [key: string, content: { json: string; leaseId?: string } | undefined];

/** Writes and answer of one request; no writes, no revision. May throw: then only this request is refused. */
export type Decide<T> = (view: View, revision: number) => { writes: Write[]; result: T };

interface Request {
  decide: Decide<unknown>;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export interface GroupTarget {
  readonly state: State;
  /** Makes the transactions durable. */
  persist(transactions: Transaction[]): Promise<void>;
  /** Called after they are in the state. */
  committed(transactions: Transaction[]): Promise<void>;
}

export class GroupCommit {
  readonly #target: GroupTarget;
  #waiting: Request[] = [];
  #running: Promise<void> | undefined;

  constructor(target: GroupTarget) {
    this.#target = target;
  }

  submit<T>(decide: Decide<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ decide, resolve: (result) => resolve(result as T), reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // callers of this very turn join the first group
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0));
    this.#running = undefined;
  }

  async #commit(requests: Request[]): Promise<void> {
    const { transactions, answers } = decideAll(this.#target.state, requests);
    try {
      if (transactions.length > 0) await this.#target.persist(transactions);
    } catch (error) {
      for (const request of requests) request.reject(error);
      return;
    }
    for (const { revision, writes } of transactions) {
      for (const [key, stored] of writes) {
        if (stored === undefined) this.#target.state.entries.delete(key);
        else this.#target.state.entries.set(key, stored);
      }
      this.#target.state.revision = revision;
    }
    for (const answer of answers) answer();
    if (transactions.length > 0) await this.#target.committed(transactions);
  }
}

function decideAll(
  state: State,
  requests: Request[],
): { transactions: Transaction[]; answers: (() => void)[] } {
  const changed = new Map<string, Stored | undefined>();
  const view: View = (key) => (changed.has(key) ? changed.get(key) : state.entries.get(key));
  const transactions: Transaction[] = [];
  const answers: (() => void)[] = [];
  for (const request of requests) {
    const revision = state.revision + transactions.length + 1;
    try {
      const { writes, result } = request.decide(view, revision);
      const stored = writes.map(([key, content]): Transaction['writes'][number] => [
        key,
        content && { ...content, revision },
      ]);
      for (const [key, value] of stored) changed.set(key, value);
      if (stored.length > 0) transactions.push({ revision, writes: stored });
      answers.push(() => request.resolve(result));
    } catch (error) {
      answers.push(() => request.reject(error));
    }
  }
  return { transactions, answers };
}
