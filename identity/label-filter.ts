import { UserError } from '../base/index.ts';
import { canonicalLabels, formatLabel, isLabelKey } from './label.ts';

interface Item {
  pattern: RegExp;
  exclude: boolean;
}

/**
 * What weir leaves out unless told otherwise: labels that tools put on every container anew, which would give each
 * replica an identity of its own. What names a Compose service or a Swarm stack stays.
 */
const DEFAULT = [
  String.raw`!com\.docker\.compose\.`,
  String.raw`com\.docker\.compose\.(project|service)$`,
  String.raw`!com\.docker\.swarm\.`,
  String.raw`com\.docker\.swarm\.service\.name$`,
  String.raw`!org\.opencontainers\.image\.`,
  String.raw`!maintainer$`,
  String.raw`!desktop\.docker\.io`,
].map(parseItem);

/** Decides which labels of a container are part of its identity. */
export class LabelFilter {
  readonly #items: Item[];
  readonly #onlyIncluded: boolean;

  private constructor(items: Item[]) {
    this.#items = items;
    this.#onlyIncluded = items.some((item) => !item.exclude);
  }

  /**
   * `spec`: regular expressions on keys, anchored at the start, apart by spaces or commas; `!` in front excludes. On one
   * key the longest matching include must be longer than the shortest matching exclude. With any include, only
   * included keys count; otherwise keys that no item names are judged by the default. Throws LABEL_FILTER_INVALID.
   */
  static parse(spec = ''): LabelFilter {
    return new LabelFilter(
      spec
        .split(/[\s,]+/)
        .filter((text) => text !== '')
        .map(parseItem),
    );
  }

  /**
   * The canonical identity labels (`container:key=value`) of a container. A key that no label text can carry (empty, or
   * with a space, a control character or `=`) never counts.
   */
  admit(labels: Record<string, string>): string[] {
    const admitted = Object.entries(labels).filter(([key]) => isLabelKey(key) && this.#admits(key));
    return canonicalLabels(admitted.map(([key, value]) => formatLabel({ source: 'container', key, value })));
  }

  #admits(key: string): boolean {
    return judge(this.#items, key) ?? (this.#onlyIncluded ? false : (judge(DEFAULT, key) ?? true));
  }
}

/** True or false where some item matches the key, undefined where none does. */
function judge(items: Item[], key: string): boolean | undefined {
  let included = -1;
  let excluded = Infinity;
  for (const item of items) {
    const length = item.pattern.exec(key)?.[0].length;
    if (length === undefined) continue;
    if (item.exclude) excluded = Math.min(excluded, length);
    else included = Math.max(included, length);
  }
  if (excluded === Infinity) return included < 0 ? undefined : true;
  return included > excluded;
}

function parseItem(text: string): Item {
  const exclude = text.startsWith('!');
  const source = (exclude ? text.slice(1) : text).replace(/^container:/, '');
  if (source === '') throw invalid(text, 'it is empty');
  try {
    return { pattern: new RegExp(`^(?:${source})`, 'u'), exclude };
  } catch (error) {
    throw invalid(text, error instanceof Error ? error.message : String(error));
  }
}

function invalid(item: string, why: string): UserError {
  return new UserError('LABEL_FILTER_INVALID', `label filter item ${JSON.stringify(item)}: ${why}`, {
    hint: 'an item is a regular expression on label keys, with ! in front to exclude',
  });
}
