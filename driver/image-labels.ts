/** Labels that a container was given, without those that only came with its image. */
import { HostError } from '../base/index.ts';

type Labels = Record<string, string>;

/** More images than any host runs; then the oldest answers are asked for again. */
const MOST_KEPT = 1000;

/**
 * Docker shows one set of labels and never says which of them are the image's. So what equals a label of the image counts
 * as the image's, also where somebody gave the container the very same one.
 */
export class ImageLabels {
  readonly #ask: (image: string, signal: AbortSignal) => Promise<Labels | undefined>;
  /** An image never changes under its id. */
  readonly #known = new Map<string, Labels>();

  /** `ask` answers undefined for an image that is gone. */
  constructor(ask: (image: string, signal: AbortSignal) => Promise<Labels | undefined>) {
    this.#ask = ask;
  }

  /** Rejects with HostError IMAGE_UNKNOWN where nobody can tell any more: such a container has no identity. */
  async without(labels: Labels, image: string, signal: AbortSignal): Promise<Labels> {
    if (Object.keys(labels).length === 0) return labels;
    const theirs = await this.#of(image, signal);
    return Object.fromEntries(Object.entries(labels).filter(([key, value]) => theirs.get(key) !== value));
  }

  async #of(image: string, signal: AbortSignal): Promise<Map<string, string>> {
    let labels = this.#known.get(image);
    if (labels === undefined) {
      labels = await this.#ask(image, signal);
      if (labels === undefined) throw unknown(image);
      if (this.#known.size >= MOST_KEPT) this.#known.clear();
      this.#known.set(image, labels);
    }
    return new Map(Object.entries(labels));
  }
}

function unknown(image: string): HostError {
  return new HostError('IMAGE_UNKNOWN', `Docker has no image ${image.slice(0, 19)} any more`, {
    hint: 'its labels cannot be told from those of its container: run the container anew',
  });
}
