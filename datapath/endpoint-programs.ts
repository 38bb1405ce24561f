/**
 * The programs on the host side of an endpoint. On a new device they are filters (clsact) at once, because a tcx link
 * makes the kernel wait some 12 ms with every other network change of the host behind it; when no endpoint has come for
 * a while they become pinned links, which nobody takes off by accident and which cost a packet less. Both outlive the
 * process. While both are there the links decide.
 */
import { describeError } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import type { DatapathObject } from '../bpf/index.ts';
import { detachClsact, KernelError } from '../kernel/index.ts';

/** How long no endpoint may have come before filters become links. */
const QUIET_MS = 2_000;
const HOOKS = [
  ['from_container', 'ingress'],
  ['to_container', 'egress'],
] as const;

export interface Device {
  name: string;
  ifindex: number;
}

/** How programs become filters of a device, and stop being them. */
export interface Filters {
  attach: DatapathObject['attachFilter'];
  detach: typeof detachClsact;
}

export interface EndpointProgramsOptions {
  object: Pick<
    DatapathObject,
    'program' | 'attach' | 'attachFilter' | 'isAttached' | 'forget' | 'isTakingOver'
  >;
  /** Whether the kernel has tcx; without it filters stay filters. */
  tcx: boolean;
  log: Log;
  filters?: Filters;
}

export class EndpointPrograms {
  readonly #options: EndpointProgramsOptions;
  readonly #filters: Filters;
  readonly #filtered = new Map<string, Device>();
  #timer: NodeJS.Timeout | undefined;
  #linking: Promise<void> | undefined;

  constructor(options: EndpointProgramsOptions) {
    this.#options = options;
    const { object } = options;
    const attach: Filters['attach'] = (...where) => object.attachFilter(...where);
    this.#filters = options.filters ?? { attach, detach: detachClsact };
  }

  /** In force when it resolves, in place of those of an earlier process and without a gap. */
  async attach(device: Device): Promise<void> {
    const { object, tcx } = this.#options;
    const isLinked = tcx && object.isAttached(device.name);
    if (isLinked || !this.#filter(device)) await this.#link(device);
    else if (tcx) this.#linkSoon(device);
  }

  /** To be called when the device has gone. */
  async forget(name: string): Promise<void> {
    this.#filtered.delete(name);
    await this.#linking;
    this.#options.object.forget(name);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#filtered.clear();
    await this.#linking;
  }

  /** False where the kernel has links but no filters. */
  #filter({ ifindex }: Device): boolean {
    const { object, tcx } = this.#options;
    try {
      for (const [program, direction] of HOOKS)
        this.#filters.attach(object.program(program), ifindex, direction);
      return true;
    } catch (error) {
      if (tcx && error instanceof KernelError && error.errno !== 'ENODEV') return false;
      throw error;
    }
  }

  async #link(device: Device): Promise<void> {
    const { object } = this.#options;
    await Promise.all(HOOKS.map(([program, direction]) => object.attach(program, device, direction)));
    for (const [, direction] of HOOKS) this.#filters.detach(device.ifindex, direction);
  }

  #linkSoon(device: Device): void {
    this.#filtered.set(device.name, device);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#linkNext(), QUIET_MS);
    this.#timer.unref();
  }

  /** One after the other, until all are links or another endpoint comes. */
  async #linkNext(): Promise<void> {
    const [device] = this.#filtered.values();
    if (device === undefined) return;
    if (this.#options.object.isTakingOver) {
      this.#linkSoon(device);
      return;
    }
    this.#filtered.delete(device.name);
    const timer = this.#timer;
    this.#linking = this.#attempt(device);
    await this.#linking;
    this.#linking = undefined;
    if (timer === this.#timer) await this.#linkNext();
  }

  /** A device may go meanwhile; the filters of one that stays do as well. */
  async #attempt(device: Device): Promise<void> {
    try {
      await this.#link(device);
    } catch (error) {
      this.#options.log.debug('programs stay filters', {
        device: device.name,
        reason: describeError(error),
      });
    }
  }
}
