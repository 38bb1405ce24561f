/**
 * Programs on the sockets of a control group. A link to a group adds to what others have there, holds for everything
 * below the group, and goes with its last descriptor: pin it.
 */
import { existsSync, mkdtempSync, openSync, readFileSync, rmdirSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '../base/index.ts';
import { ERRNO, expect, KernelError } from './failure.ts';
import { lastErrno, libbpf, libc } from './libbpf.ts';

/** enum bpf_attach_type, by the function that is attached. */
export const CGROUP_HOOKS = {
  connect4: 10,
  connect6: 11,
  sendmsg4: 14,
  sendmsg6: 15,
  recvmsg4: 19,
  recvmsg6: 20,
  getpeername4: 29,
  getpeername6: 30,
} as const;

export type CgroupHook = keyof typeof CGROUP_HOOKS;

const CGROUP2_MAGIC = 0x63677270;
const DETACH = 2; // MNT_DETACH
/** Where the root may be seen from inside a container that shares the host's processes. */
const OF_INIT = ['/proc/1/root/sys/fs/cgroup', '/proc/1/root/sys/fs/cgroup/unified'];

function isCgroup2(path: string): boolean {
  try {
    return statfsSync(path).type === CGROUP2_MAGIC;
  } catch {
    return false;
  }
}

/** The one group that is not in any other has nothing to report to. */
function isRoot(path: string): boolean {
  return isCgroup2(path) && !existsSync(join(path, 'cgroup.events'));
}

/** Mount points of the unified hierarchy in this mount namespace. */
function mounts(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const found = lines.filter((line) => line.includes(' - cgroup2 ')).map((line) => line.split(' ')[4] ?? '');
  return found.map((path) => path.replaceAll('\\040', ' '));
}

/** Opens the root through a mount that nobody else gets to see for longer than a moment. */
function openByMount(): number {
  const at = mkdtempSync(join(tmpdir(), 'weir-cgroup-'));
  try {
    if (libc().mount('none', at, 'cgroup2', 0, null) < 0)
      throw new KernelError('mount the cgroup2 hierarchy', lastErrno());
    try {
      if (!isRoot(at))
        throw new HostError('CGROUP_NOT_ROOT', 'the root of the control groups is out of reach', {
          hint: 'run weir in the cgroup namespace of the host',
        });
      return openSync(at, 'r');
    } finally {
      libc().umount2(at, DETACH);
    }
  } finally {
    rmdirSync(at);
  }
}

/**
 * A descriptor of the root of the unified hierarchy, which every process of the machine is under, wherever it is mounted
 * or not mounted at all. Throws HostError where it cannot be reached.
 */
export function openCgroupRoot(): number {
  const path = [...mounts(), ...OF_INIT].find(isRoot);
  return path === undefined ? openByMount() : openSync(path, 'r');
}

/** Attaches a program beside those of others; returns the link's descriptor. */
export function attachCgroup(programFd: number, cgroupFd: number, hook: CgroupHook): number {
  const fd = libbpf().bpf_link_create(programFd, cgroupFd, CGROUP_HOOKS[hook], null);
  if (fd === -ERRNO.EPERM)
    throw new KernelError(
      `attach ${hook} to the root control group`,
      fd,
      'another program lets none beside it',
    );
  return expect(fd, `attach ${hook} to the root control group`);
}
