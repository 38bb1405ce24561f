/** What weir needs of a host, checked before anything is touched, each lack with what to do about it. */
import { existsSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { HostError } from '../base/index.ts';
import { BpfMap, MAP_TYPE } from './bpf-map.ts';
import { errnoName, KernelError } from './failure.ts';
import { isContained } from './host-view.ts';
import { isKernelAtLeast } from './kernel-version.ts';
import { lastErrno, libbpf, libc } from './libbpf.ts';
import { makeFolders } from './pin.ts';
import { probeHost } from './probe.ts';

const OLDEST_KERNEL = '5.10';
/** sysfs has the folder ready, and lets nobody make another beside it. */
const USUAL_BPFFS = '/sys/fs/bpf';
const BPF_FS_MAGIC = 0xcafe4a11;

/** What the check looks at; a test gives a host that lacks something. */
export interface HostFacts {
  userId: number;
  kernel: string;
  /** A mount made here would be seen by nobody else, and go with this process. */
  isContained: boolean;
}

function running(): HostFacts {
  return { userId: process.geteuid?.() ?? -1, kernel: release(), isContained: isContained() };
}

function requireRoot({ userId }: HostFacts): void {
  if (userId === 0) return;
  throw new HostError('NOT_ROOT', `weir agent runs as user ${userId} and needs root`, {
    hint: 'start it with sudo or as a system service',
  });
}

function requireKernel({ kernel }: HostFacts): void {
  if (isKernelAtLeast(OLDEST_KERNEL, kernel)) return;
  throw new HostError('KERNEL_TOO_OLD', `kernel ${kernel} is older than ${OLDEST_KERNEL}`, {
    hint: 'boot a kernel of a current distribution, such as Debian 11 or later',
  });
}

function requireBpf(): void {
  libbpf();
  try {
    BpfMap.create({
      type: MAP_TYPE.array,
      name: 'weir_probe',
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
    }).close();
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    const hint =
      cause.errno === 'EPERM'
        ? 'run it on the host itself or in a privileged container'
        : 'the kernel must be built with CONFIG_BPF_SYSCALL';
    throw new HostError('NO_BPF', 'this host lets weir use no BPF', { cause, hint });
  }
}

/** An undecided probe stops nobody: loading the programs will tell. */
function requireFeatures(): void {
  const lacking = probeHost().filter((probe) => probe.required && probe.conclusive && !probe.present);
  if (lacking.length === 0) return;
  const names = lacking.map(({ name, since }) => `${name} (Linux ${since})`).join(', ');
  const hint = "use the distribution's own kernel";
  throw new HostError('BPF_FEATURE_MISSING', `this kernel lacks ${names}`, { hint });
}

function isBpffs(path: string): boolean {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return statfsSync(at).type === BPF_FS_MAGIC;
}

/**
 * Makes sure that `path` is in a bpffs, mounting one there where it is not. A mount is a new, empty file system: in a
 * container it would be gone with the container, and so would the pins. There the host must have one.
 */
export function requireBpffs(path: string, contained = isContained()): void {
  if (isBpffs(path)) return;
  const at = path.startsWith(`${USUAL_BPFFS}/`) ? USUAL_BPFFS : path;
  const hint = `mount -t bpf bpf ${at}`;
  if (contained) throw new HostError('BPFFS_MISSING', `the host has no bpffs at ${at}`, { hint });
  try {
    makeFolders(at);
  } catch (cause) {
    throw new HostError('BPFFS_MISSING', `no bpffs at ${at}, and no folder to mount one`, { cause, hint });
  }
  if (libc().mount('bpf', at, 'bpf', 0, null) === 0) return;
  const why = errnoName(lastErrno());
  throw new HostError('BPFFS_MISSING', `no bpffs at ${at}, and mounting one fails with ${why}`, { hint });
}

/** Throws HostError for the first thing that the host lacks; mounts the bpffs where nobody has. */
export function requireHost({ bpffs }: { bpffs: string }, facts: HostFacts = running()): void {
  requireRoot(facts);
  requireKernel(facts);
  requireBpf();
  requireFeatures();
  requireBpffs(bpffs, facts.isContained);
}
