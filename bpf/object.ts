/** The compiled datapath: loaded onto its pinned maps, attached to devices by links that outlive the process. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { BugError, HostError } from '../base/index.ts';
import {
  attachClsact,
  attachTcxAsync,
  BpfObject,
  closeFd,
  detachClsact,
  detachLink,
  hasClsact,
  linkTarget,
  openPinnedLink,
  pinObject,
  unpin,
  updateLink,
} from '../kernel/index.ts';
import type { Direction } from '../kernel/index.ts';
import { MAPS, openMaps } from './maps.ts';
import type { Maps } from './maps.ts';
import { PinFolders, Takeover } from './takeover.ts';
import type { Hook } from './takeover.ts';

export type ProgramName = 'from_container' | 'to_container' | UplinkProgram;
/** For devices of Ethernet frames, and for those of bare packets. */
export type UplinkProgram = 'from_uplink' | 'from_tunnel';
const UPLINK_PROGRAMS: readonly ProgramName[] = ['from_uplink', 'from_tunnel'];

/** A bpffs takes no dots, and a device's name has no colon: "eth0.100" is pinned as "eth0:100". */
const DOT = ':';

/** Follows the name of a pin that is about to take the place of that pin; a crash may leave it. */
const SUCCESSOR = ':next';

const ELF = new URL('./datapath.bpf.o', import.meta.url);

export interface DatapathOptions {
  /** Mount point of the bpffs. Pins go below its folder `weir`. */
  bpffs: string;
  /** Map name → size, in place of the one compiled in. */
  maxEntries?: Record<string, number>;
  /** False where the kernel lacks tcx (before 6.6). */
  tcx: boolean;
  /** Bytes of an object in place of the one that this version brings. */
  elf?: Buffer;
}

/** The loaded object. Maps and links are pinned: closing it, or dying, leaves traffic running. */
export class DatapathObject {
  readonly maps: Maps;
  readonly #object: BpfObject;
  readonly #links: string;
  readonly #tcx: boolean;
  /** Where the maps that are pinned have another layout. */
  #takeover: Takeover | undefined;

  constructor(options: DatapathOptions) {
    const root = join(options.bpffs, 'weir');
    this.#links = join(root, 'links');
    this.#tcx = options.tcx;
    mkdirSync(this.#links, { recursive: true });
    for (const name of readdirSync(this.#links)) if (name.endsWith(SUCCESSOR)) unpin(join(this.#links, name));
    const folders = new PinFolders(root);
    const opened = open(folders, options);
    this.#object = opened.object;
    if (opened.isBeside)
      this.#takeover = new Takeover(folders, (name) => this.#object.map(name), opened.isResumed);
    this.maps = openMaps(this.#object);
  }

  /** Whether programs of an earlier process go on working on maps of another layout until `takeOver`. */
  get isTakingOver(): boolean {
    return this.#takeover !== undefined;
  }

  /** To be called when everything else is in the maps: those of another layout give place to these, their flows with them. */
  async takeOver(): Promise<void> {
    await this.#takeover?.run();
    this.#takeover = undefined;
  }

  program(name: ProgramName): number {
    return this.#object.program(name);
  }

  /**
   * Puts a program on a device, in place of the one that an earlier process left there, without a gap. `device` names
   * the pin; an older pin of that name whose device has gone is replaced.
   */
  async attach(
    program: ProgramName,
    device: { name: string; ifindex: number },
    direction: Direction,
  ): Promise<void> {
    if (!this.#tcx) {
      this.attachFilter(this.program(program), device.ifindex, direction);
      return;
    }
    const pin = this.#pin(device.name, direction);
    if (this.#replace(pin, program, device)) return;
    const link = await attachTcxAsync(this.program(program), device.ifindex, direction);
    try {
      pinObject(link, pin);
    } finally {
      closeFd(link);
    }
  }

  /** Makes a program a filter of a device, in place of the one that an earlier process made one. */
  attachFilter(program: number, ifindex: number, direction: Direction): void {
    const swap = (): void => attachClsact(program, ifindex, direction);
    if (this.#takeover === undefined || !hasClsact(ifindex, direction)) {
      swap();
      return;
    }
    const hook: Hook = { swap };
    if (UPLINK_PROGRAMS.some((name) => program === this.program(name)))
      hook.join = async () => {
        attachClsact(program, ifindex, direction, 'second');
        return { [Symbol.dispose]: () => detachClsact(ifindex, direction, 'second') };
      };
    this.#takeover.add(`${ifindex} ${direction}`, hook);
  }

  /** A device has another name from now on. */
  rename(device: string, name: string): void {
    for (const direction of ['ingress', 'egress'] as const) {
      const pin = this.#pin(device, direction);
      if (existsSync(pin)) renameSync(pin, this.#pin(name, direction));
    }
  }

  /** Forgets the links of a device that is gone or about to go. */
  forget(device: string): void {
    for (const direction of ['ingress', 'egress'] as const) unpin(this.#pin(device, direction));
  }

  /** Takes the programs off a device that stays. */
  async detach(device: string): Promise<void> {
    for (const direction of ['ingress', 'egress'] as const) {
      const pin = this.#pin(device, direction);
      this.#takeover?.drop(pin);
      const link = openPinnedLink(pin);
      if (link !== undefined) await detachLink(link);
    }
    this.forget(device);
  }

  /** Whether a device of that name has a pinned link. */
  isAttached(device: string): boolean {
    return (['ingress', 'egress'] as const).some((direction) => existsSync(this.#pin(device, direction)));
  }

  /** Names of the devices that have pinned links. */
  attached(): string[] {
    const names = readdirSync(this.#links, { withFileTypes: true }).map((entry) => entry.name);
    return [...new Set(names.map((name) => name.replace(/-(in|e)gress$/, '').replaceAll(DOT, '.')))];
  }

  close(): void {
    this.#takeover?.close();
    this.#object.close();
  }

  #pin(device: string, direction: Direction): string {
    return join(this.#links, `${device.replaceAll('.', DOT)}-${direction}`);
  }

  /** True if a link to this very device was there; its name may have been another's before. */
  #replace(pin: string, program: ProgramName, { ifindex }: { ifindex: number }): boolean {
    const link = openPinnedLink(pin);
    if (link === undefined) return false;
    try {
      const isOurs = linkTarget(link).ifindex === ifindex;
      if (!isOurs) unpin(pin);
      else if (this.#takeover === undefined) updateLink(link, this.program(program));
      else this.#takeover.add(pin, this.#hookOf(pin, program, ifindex));
      return isOurs;
    } finally {
      closeFd(link);
    }
  }

  #hookOf(pin: string, program: ProgramName, ifindex: number): Hook {
    if (!UPLINK_PROGRAMS.includes(program)) return { swap: () => this.#update(pin, program) };
    let link = -1;
    return {
      join: async () => {
        link = await attachTcxAsync(this.program(program), ifindex, 'ingress');
        return { [Symbol.dispose]: () => closeFd(link) };
      },
      // no device takes one program twice, so the second link takes the place of the first
      swap: () => {
        pinObject(link, `${pin}${SUCCESSOR}`);
        renameSync(`${pin}${SUCCESSOR}`, pin);
      },
    };
  }

  #update(pin: string, program: ProgramName): void {
    const link = openPinnedLink(pin);
    if (link === undefined) return;
    try {
      updateLink(link, this.program(program));
    } finally {
      closeFd(link);
    }
  }
}

interface Opened {
  object: BpfObject;
  /** It works on maps beside those in force. */
  isBeside: boolean;
  /** They have been filled, and some programs put in force, by an earlier process. */
  isResumed: boolean;
}

/** Onto the maps that are pinned, if they have the layout, else onto new ones beside them. */
function open(folders: PinFolders, options: DatapathOptions): Opened {
  const inForce = load(folders.maps, options);
  if (inForce === undefined) {
    const resumed = folders.isSwapping ? load(folders.next, options) : undefined;
    if (resumed !== undefined) return { object: resumed, isBeside: true, isResumed: true };
  }
  folders.discard();
  const object = inForce ?? load(folders.next, options);
  if (object === undefined) throw new BugError(`maps in ${folders.next} of another layout than just made`);
  return { object, isBeside: inForce === undefined, isResumed: false };
}

/** Undefined where maps of another layout are pinned there. */
function load(folder: string, options: DatapathOptions): BpfObject | undefined {
  try {
    return BpfObject.load(options.elf ?? readFileSync(ELF), {
      name: 'weir',
      mapPins: Object.fromEntries(MAPS.map((name) => [name, join(folder, name)])),
      maxEntries: options.maxEntries ?? {},
    });
  } catch (error) {
    if (error instanceof HostError && error.code === 'MAP_INCOMPATIBLE') return undefined;
    throw error;
  }
}
