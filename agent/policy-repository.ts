/**
 * The policy of this host: rules, their revision, durable and in force. One change at a time; a change is answered when
 * it is both. Rules of earlier revisions are remembered for a while, so that events can still be explained.
 */
import { UserError } from '../base/index.ts';
import { deleteRules, mergeRules, parsePolicy, selectRules } from '../policy/index.ts';
import type { Rule } from '../policy/index.ts';

/** What it needs of the store. */
export interface PolicyRecords {
  get(key: string): Promise<{ value: unknown } | undefined>;
  put(key: string, value: unknown): Promise<unknown>;
}

/** What it needs of the datapath: `apply` is atomic and throws with the old rules still in force. */
export interface PolicyTarget {
  apply(rules: Rule[], revision: number): void;
}

/** The rules now, with their revision, and the rules then; `count` is how many the files hold. */
export interface PolicyPlan {
  revision: number;
  before: readonly Rule[];
  after: readonly Rule[];
  count: number;
}

type Files = { name: string; text: string }[];
type Changed = { revision: number; count: number };

interface PolicyState {
  revision: number;
  rules: Rule[];
}

const KEY = 'policy/rules';
/** As in the field: before anything was imported. */
const FIRST_REVISION = 1;

export class PolicyRepository {
  readonly #records: PolicyRecords;
  readonly #target: PolicyTarget;
  #state: PolicyState = { revision: FIRST_REVISION, rules: [] };
  #queue: Promise<unknown> = Promise.resolve();
  readonly #waiters = new Set<() => void>();

  constructor(options: { records: PolicyRecords; target: PolicyTarget }) {
    this.#records = options.records;
    this.#target = options.target;
  }

  get revision(): number {
    return this.#state.revision;
  }

  get rules(): readonly Rule[] {
    return this.#state.rules;
  }

  /** Puts in force what was in force before a restart. */
  async load(): Promise<void> {
    const record = await this.#records.get(KEY);
    if (record !== undefined) this.#state = record.value as PolicyState;
    this.#target.apply(this.#state.rules, this.#state.revision);
  }

  /** The rules of all files. Throws UserError POLICY_INVALID for the first mistake. */
  parse(files: Files): Rule[] {
    return files.flatMap((file) => parsePolicy(file.text, file.name));
  }

  /** The rules in force that carry all of `labels`. */
  select(labels: string[]): Rule[] {
    return selectRules(this.#state.rules, labels);
  }

  /** What an import would make of the rules in force; nothing changes. Throws UserError POLICY_INVALID. */
  plan(files: Files, options: { replaceAll: boolean }): PolicyPlan {
    const imported = this.parse(files);
    const { revision, rules: before } = this.#state;
    return { revision, before, after: mergeRules(before, imported, options), count: imported.length };
  }

  /** All files or none. Throws UserError POLICY_INVALID. */
  async import(files: Files, options: { replaceAll: boolean }): Promise<Changed> {
    const rules = this.parse(files);
    return this.#change((current) => ({ rules: mergeRules(current, rules, options), count: rules.length }));
  }

  /** Throws POLICY_NOT_FOUND where no rule carries all the labels. */
  delete(which: { labels: string[] } | 'all'): Promise<Changed> {
    return this.#change((current) => {
      const rules = which === 'all' ? [] : deleteRules([...current], which.labels);
      const count = current.length - rules.length;
      if (count > 0 || which === 'all') return { rules, count };
      throw new UserError('POLICY_NOT_FOUND', `no rule carries ${which.labels.join(' and ')}`);
    });
  }

  /** Resolves at the next change, at the timeout or when `signal` aborts. */
  async wait(
    revision: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ revision: number; reached: boolean }> {
    const deadline = Date.now() + timeoutMs;
    while (this.revision < revision && !signal.aborted && Date.now() < deadline)
      await this.#nextChange(deadline - Date.now(), signal);
    return { revision: this.revision, reached: this.revision >= revision };
  }

  /** Or so much time, or the end of whoever waits. */
  #nextChange(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener('abort', wake);
      this.#waiters.add(wake);
    });
  }

  #change(plan: (current: Rule[]) => { rules: Rule[]; count: number }): Promise<Changed> {
    const run = async (): Promise<Changed> => {
      const before = this.#state;
      const { rules, count } = plan(before.rules);
      const next = { revision: before.revision + 1, rules };
      this.#target.apply(rules, next.revision);
      try {
        await this.#records.put(KEY, next);
      } catch (error) {
        this.#target.apply(before.rules, before.revision);
        throw error;
      }
      this.#state = next;
      for (const wake of [...this.#waiters]) wake();
      return { revision: next.revision, count };
    };
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
