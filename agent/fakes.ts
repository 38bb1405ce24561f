/** Parts of an agent for the tests of what only reads them. */
import type { Parts } from './parts.ts';

/** As much of a thing as a test needs, in the types that it has. */
export type Sketch<T> = T extends (...given: infer Given) => infer Answer
  ? (...given: Given) => Sketch<Answer>
  : T extends Promise<infer Item>
    ? Promise<Sketch<Item>>
    : T extends readonly (infer Item)[]
      ? readonly Sketch<Item>[]
      : T extends object
        ? { [Key in keyof T]?: Sketch<T[Key]> | undefined }
        : T;

/** What the sketch leaves out is missing when it is asked for, and the test fails there. */
export function partsOf(sketch: Sketch<Parts>): Parts {
  // classes have private fields, which no sketch can have
  return sketch as unknown as Parts;
}
