/**
 * From maps of one layout to maps of another without a lost packet. The programs in force go on judging on the old maps
 * while new ones are made and filled beside them; then every hook gets its new program at once, and the old maps go.
 *
 * What is where says how far it came, so that the next process can go on after a crash at any point:
 *   maps/              in force; all there is between takeovers
 *   next/              being filled; worth nothing unless `swapping` is there too
 *   swapping/          some hooks may have programs that work on `next`
 *   former/            no longer used
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BpfMap, KernelError } from '../kernel/index.ts';
import { Conversion } from './conversion.ts';

/** What the new process starts from, until it has restored its own state. */
const STATE = ['weir_config', 'weir_device', 'weir_endpoint', 'weir_uplink', 'weir_metrics'] as const;
/** What only the datapath knows. */
const FLOWS = ['weir_ct', 'weir_nat', 'weir_fragment'] as const;

/** A hook whose program an earlier process put there. */
export interface Hook {
  /** Puts the new program there in place of the old one. */
  swap(): void;
  /**
   * Where answers to what either program has sent come in: puts the new program there too, to be asked where the old one
   * knows nothing. To be disposed when the old one has gone.
   */
  join?(): Promise<Disposable>;
}

/** The folders of pins below `root`. */
export class PinFolders {
  readonly maps: string;
  readonly next: string;
  readonly #former: string;
  readonly #swapping: string;

  constructor(root: string) {
    this.maps = join(root, 'maps');
    this.next = join(root, 'next');
    this.#former = join(root, 'former');
    this.#swapping = join(root, 'swapping');
    this.#tidy();
  }

  /** Whether `next` is in use already, by hooks that an earlier process has swapped. */
  get isSwapping(): boolean {
    return existsSync(this.#swapping);
  }

  begin(): void {
    mkdirSync(this.#swapping, { recursive: true });
  }

  /** From here on `next` are the maps. */
  finish(): void {
    renameSync(this.maps, this.#former);
    this.#tidy();
  }

  /** Drops what an earlier process has begun and this one cannot go on with. */
  discard(): void {
    rmSync(this.next, { recursive: true, force: true });
    if (this.isSwapping) rmdirSync(this.#swapping);
  }

  #tidy(): void {
    if (!existsSync(this.maps) && existsSync(this.next)) renameSync(this.next, this.maps);
    if (!this.isSwapping || !existsSync(this.next)) this.discard();
    rmSync(this.#former, { recursive: true, force: true });
  }
}

/** Under way from the loading of the new programs until `run` has put them in force. */
export class Takeover {
  readonly #folders: PinFolders;
  readonly #isResumed: boolean;
  readonly #old = new Map<string, BpfMap>();
  readonly #map: (name: string) => BpfMap;
  readonly #hooks = new Map<string, Hook>();

  /** `map`: the new ones by name. Fills those that the agent reads when it starts. */
  constructor(folders: PinFolders, map: (name: string) => BpfMap, isResumed: boolean) {
    this.#folders = folders;
    this.#map = map;
    this.#isResumed = isResumed;
    for (const name of readdirSync(folders.maps)) {
      const old = BpfMap.openPinned(join(folders.maps, name));
      if (old !== undefined) this.#old.set(name, old);
    }
    if (!isResumed) this.#copy(STATE, { onlyNew: false });
  }

  /** Puts off what would be a moment without the old program's connections. `where` tells one hook from another. */
  add(where: string, hook: Hook): void {
    this.#hooks.set(where, hook);
  }

  /** The old program is there no more. */
  drop(where: string): void {
    this.#hooks.delete(where);
  }

  /** Everything else must be in the new maps. A hook whose device has gone is passed over. */
  async run(): Promise<void> {
    const onlyNew = this.#isResumed;
    this.#copy(FLOWS, { onlyNew });
    this.#folders.begin();
    const joined = await this.#join();
    // from here to the end in one go: what is decided meanwhile is known to one of both programs only
    this.#copy(FLOWS, { onlyNew });
    const hooks = [...this.#hooks.values()];
    hooks.filter(({ join }) => !join).forEach(swap);
    this.#copy(FLOWS, { onlyNew: true });
    hooks.filter((hook) => joined.has(hook)).forEach(swap);
    for (const both of joined.values()) both[Symbol.dispose]();
    this.#folders.finish();
    this.close();
  }

  close(): void {
    for (const map of this.#old.values()) map.close();
    this.#old.clear();
  }

  async #join(): Promise<Map<Hook, Disposable>> {
    const joined = new Map<Hook, Disposable>();
    for (const hook of this.#hooks.values()) {
      try {
        const both = await hook.join?.();
        if (both !== undefined) joined.set(hook, both);
      } catch (error) {
        if (!hasGone(error)) throw error;
      }
    }
    return joined;
  }

  #copy(names: readonly string[], options: { onlyNew: boolean }): void {
    for (const name of names) {
      const old = this.#old.get(name);
      if (old !== undefined) Conversion.between(old, this.#map(name))?.run(options);
    }
  }
}

function hasGone(error: unknown): boolean {
  return error instanceof KernelError && ['ENOLINK', 'ENODEV'].includes(error.errno);
}

function swap(hook: Hook): void {
  try {
    hook.swap();
  } catch (error) {
    if (!hasGone(error)) throw error;
  }
}
