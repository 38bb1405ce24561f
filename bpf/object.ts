/** The compiled datapath: loaded onto its pinned maps, attached to devices by links that outlive the process. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachClsact,
  attachTcxAsync,
  BpfObject,
  closeFd,
  detachLink,
  linkTarget,
  openPinnedLink,
  pinObject,
  unpin,
  updateLink,
} from '../kernel/index.ts';
import type { Direction } from '../kernel/index.ts';
import { MAPS, openMaps } from './maps.ts';
import type { Maps } from './maps.ts';

export type ProgramName = 'from_container' | 'to_container' | 'from_uplink';

/** A bpffs takes no dots, and a device's name has no colon: "eth0.100" is pinned as "eth0:100". */
const DOT = ':';

const ELF = new URL('./datapath.bpf.o', import.meta.url);

export interface DatapathOptions {
  /** Mount point of the bpffs. Pins go below its folder `weir`. */
  bpffs: string;
  /** Map name → size, in place of the one compiled in. */
  maxEntries?: Record<string, number>;
  /** False where the kernel lacks tcx (before 6.6). */
  tcx: boolean;
}

/** The loaded object. Maps and links are pinned: closing it, or dying, leaves traffic running. */
export class DatapathObject {
  readonly maps: Maps;
  readonly #object: BpfObject;
  readonly #links: string;
  readonly #tcx: boolean;

  constructor(options: DatapathOptions) {
    const root = join(options.bpffs, 'weir');
    this.#links = join(root, 'links');
    this.#tcx = options.tcx;
    mkdirSync(this.#links, { recursive: true });
    this.#object = BpfObject.load(readFileSync(ELF), {
      name: 'weir',
      mapPins: Object.fromEntries(MAPS.map((name) => [name, join(root, 'maps', name)])),
      maxEntries: options.maxEntries ?? {},
    });
    this.maps = openMaps(this.#object);
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
      attachClsact(this.program(program), device.ifindex, direction);
      return;
    }
    const pin = this.#pin(device.name, direction);
    if (this.#replace(pin, program, device.ifindex)) return;
    const link = await attachTcxAsync(this.program(program), device.ifindex, direction);
    try {
      pinObject(link, pin);
    } finally {
      closeFd(link);
    }
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
      const link = openPinnedLink(this.#pin(device, direction));
      if (link !== undefined) await detachLink(link);
    }
    this.forget(device);
  }

  /** Names of the devices that have pinned links. */
  attached(): string[] {
    const names = readdirSync(this.#links, { withFileTypes: true }).map((entry) => entry.name);
    return [...new Set(names.map((name) => name.replace(/-(in|e)gress$/, '').replaceAll(DOT, '.')))];
  }

  close(): void {
    this.#object.close();
  }

  #pin(device: string, direction: Direction): string {
    return join(this.#links, `${device.replaceAll('.', DOT)}-${direction}`);
  }

  /** True if a link to this very device was there; its name may have been another's before. */
  #replace(pin: string, program: ProgramName, ifindex: number): boolean {
    const link = openPinnedLink(pin);
    if (link === undefined) return false;
    try {
      const isOurs = linkTarget(link).ifindex === ifindex;
      if (isOurs) updateLink(link, this.program(program));
      else unpin(pin);
      return isOurs;
    } finally {
      closeFd(link);
    }
  }
}
