/**
 * Programs on interfaces. Where the kernel has tcx (6.6) an attachment is a link: it goes with its last descriptor, and
 * traffic then passes unfiltered, so pin it. On older kernels it is a filter of the clsact qdisc, which stays until
 * removed. A program compiled as SEC("tc") serves both.
 */
import { ERRNO, expect } from './failure.ts';
import { callAsync, libbpf } from './libbpf.ts';
import { closeFd } from './pin.ts';

/** As the host sees it: what a container sends is ingress of its host-side veth. */
export type Direction = 'ingress' | 'egress';

/** enum bpf_attach_type since 6.6; libbpf 1.1 has no names for them and passes them on unread. */
const TCX = { ingress: 46, egress: 47 } as const;

function tcxAction(ifindex: number, direction: Direction): string {
  return `attach program to ${direction} of interface ${ifindex}`;
}

/** Attaches and returns the link's descriptor. Blocks ~12 ms (RCU): at run time use `attachTcxAsync`. */
export function attachTcx(programFd: number, ifindex: number, direction: Direction): number {
  const fd = libbpf().bpf_link_create(programFd, ifindex, TCX[direction], null);
  return expect(fd, tcxAction(ifindex, direction));
}

/** `attachTcx` on a worker thread. The index is resolved in that thread's network namespace, the process's own. */
export async function attachTcxAsync(
  programFd: number,
  ifindex: number,
  direction: Direction,
): Promise<number> {
  const fd = await callAsync(libbpf().bpf_link_create, programFd, ifindex, TCX[direction], null);
  return expect(fd, tcxAction(ifindex, direction));
}

/** Puts another program behind a link; no packet passes unfiltered. Throws ENOLINK when the interface has gone. */
export function updateLink(linkFd: number, programFd: number): void {
  expect(libbpf().bpf_link_update(linkFd, programFd, null), 'replace the program of a link');
}

export interface LinkTarget {
  /** 0 when the interface has gone. */
  ifindex: number;
  programId: number;
}

/** What a tcx link is attached to. */
export function linkTarget(linkFd: number): LinkTarget {
  const info = Buffer.alloc(64); // struct bpf_link_info: type, id, prog_id, pad; tcx: ifindex, attach type
  const size = Buffer.alloc(4);
  size.writeUInt32LE(info.length);
  expect(libbpf().bpf_obj_get_info_by_fd(linkFd, info, size), 'read a link');
  return { ifindex: info.readUInt32LE(16), programId: info.readUInt32LE(8) };
}

/** The kernel's number of a loaded program. */
export function programId(programFd: number): number {
  const info = Buffer.alloc(8); // struct bpf_prog_info: type, id, …
  const size = Buffer.alloc(4);
  size.writeUInt32LE(info.length);
  expect(libbpf().bpf_obj_get_info_by_fd(programFd, info, size), 'read a program');
  return info.readUInt32LE(4);
}

/** Detaches a link even where it is pinned and closes the descriptor; harmless when the interface has gone. */
export async function detachLink(linkFd: number): Promise<void> {
  const result = await callAsync(libbpf().bpf_link_detach, linkFd);
  closeFd(linkFd);
  if (result !== -ERRNO.ENOLINK) expect(result, 'detach a link');
}

const CLSACT = { ingress: 1, egress: 2 } as const; // enum bpf_tc_attach_point
const BPF_TC_F_REPLACE = 1;
/**
 * weir's own filters: among the first to be asked, with handles ("we") that take nobody else's place. The second is asked
 * after the first.
 */
const HANDLE = { first: 0x7765, second: 0x7766 } as const;
const PRIORITY = 1;

export type FilterSlot = keyof typeof HANDLE;

function clsactHook(ifindex: number, direction: Direction): Buffer {
  const hook = Buffer.alloc(24); // struct bpf_tc_hook: size, ifindex, attach_point, parent
  hook.writeBigUInt64LE(24n);
  hook.writeInt32LE(ifindex, 8);
  hook.writeInt32LE(CLSACT[direction], 12);
  return hook;
}

function clsactSlot(slot: FilterSlot, programFd = 0, flags = 0): Buffer {
  const options = Buffer.alloc(32); // struct bpf_tc_opts: size, prog_fd, flags, prog_id, handle, priority
  options.writeBigUInt64LE(32n);
  options.writeInt32LE(programFd, 8);
  options.writeUInt32LE(flags, 12);
  options.writeUInt32LE(HANDLE[slot], 20);
  options.writeUInt32LE(PRIORITY, 24);
  return options;
}

/** Attaches by clsact, or replaces what was attached so, without a gap. It stays when the process ends. */
export function attachClsact(
  programFd: number,
  ifindex: number,
  direction: Direction,
  slot: FilterSlot = 'first',
): void {
  const hook = clsactHook(ifindex, direction);
  const created = libbpf().bpf_tc_hook_create(hook);
  if (created !== -ERRNO.EEXIST) expect(created, `make a clsact qdisc on interface ${ifindex}`);
  const attached = libbpf().bpf_tc_attach(hook, clsactSlot(slot, programFd, BPF_TC_F_REPLACE));
  expect(attached, tcxAction(ifindex, direction));
}

/** Whether weir's filter is on a device. */
export function hasClsact(ifindex: number, direction: Direction): boolean {
  return libbpf().bpf_tc_query(clsactHook(ifindex, direction), clsactSlot('first')) >= 0;
}

/** Removes weir's filter and leaves the qdisc, which others may use. Harmless where there is none. */
export function detachClsact(ifindex: number, direction: Direction, slot: FilterSlot = 'first'): void {
  const result = libbpf().bpf_tc_detach(clsactHook(ifindex, direction), clsactSlot(slot));
  if (result === -ERRNO.ENOENT || result === -ERRNO.EINVAL || result === -ERRNO.ENODEV) return;
  expect(result, `detach program from ${direction} of interface ${ifindex}`);
}
