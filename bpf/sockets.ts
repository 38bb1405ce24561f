/** The programs on sockets: attached to the root control group by pinned links, told which sockets are the host's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../base/index.ts';
import {
  attachCgroup,
  BpfObject,
  CGROUP_HOOKS,
  closeFd,
  openCgroupRoot,
  openPinnedLink,
  pinObject,
  ProbeSocket,
  unpin,
  updateLink,
} from '../kernel/index.ts';
import type { CgroupHook } from '../kernel/index.ts';
import { decodeSocketProbe, encodeSocketProbe } from './layout.gen.ts';

const ELF = new URL('./socket.bpf.o', import.meta.url);
const HOOKS = Object.keys(CGROUP_HOOKS) as CgroupHook[];
/** Maps of the datapath that the programs read. */
const SHARED = ['weir_config', 'weir_ipcache', 'weir_service'];
/** What sockets have asked for, beside the links. */
const PEER = 'weir_peer';
const FIRST = Buffer.alloc(4);

/** Where pins are. */
interface Folders {
  maps: string;
  own: string;
}

/**
 * Puts the programs of `<bpffs>/weir` in force, in place of those of an earlier process without a gap. `tell` is told the
 * cookie of this process's network namespace, and is to write it down; no program does anything before that, and by then
 * all are there: one that turns a question without the one that turns the answer would show the container. The datapath's
 * maps must be pinned already. Throws HostError where the kernel or the control groups do not let it; what is attached then
 * stays harmless.
 */
export function attachSockets(bpffs: string, tell: (netns: bigint) => void): void {
  const root = join(bpffs, 'weir');
  const folders = { maps: join(root, 'maps'), own: join(root, 'sockets') };
  const object = load(folders);
  try {
    const group = openCgroupRoot();
    try {
      attach(object, group, { hook: 'connect4', folder: folders.own });
      const netns = netnsCookie(object);
      for (const hook of HOOKS) attach(object, group, { hook, folder: folders.own });
      tell(netns);
    } finally {
      closeFd(group);
    }
  } finally {
    object.close();
  }
}

/** What sockets have asked for under another version is forgotten where that has noted it otherwise. */
function load(folders: Folders): BpfObject {
  try {
    return loadOnto(folders);
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'MAP_INCOMPATIBLE') throw error;
    unpin(join(folders.own, PEER));
    return loadOnto(folders);
  }
}

function loadOnto({ maps, own }: Folders): BpfObject {
  const shared = SHARED.map((name) => [name, join(maps, name)]);
  const mapPins = Object.fromEntries([...shared, [PEER, join(own, PEER)]]) as Record<string, string>;
  return BpfObject.load(readFileSync(ELF), { name: 'weir_socket', mapPins });
}

function attach(
  object: BpfObject,
  group: number,
  { hook, folder }: { hook: CgroupHook; folder: string },
): void {
  const program = object.program(hook);
  const pin = join(folder, hook);
  const present = openPinnedLink(pin);
  const link = present ?? attachCgroup(program, group, hook);
  try {
    if (present === undefined) pinObject(link, pin);
    else updateLink(present, program);
  } finally {
    closeFd(link);
  }
}

/** Asks the program that sees this process connect. */
function netnsCookie(object: BpfObject): bigint {
  const map = object.map('weir_socket_probe');
  using socket = new ProbeSocket();
  map.update(FIRST, encodeSocketProbe({ socket: socket.cookie, netns: 0n }));
  socket.connect();
  const { netns } = decodeSocketProbe(map.lookup(FIRST) ?? encodeSocketProbe({ socket: 0n, netns: 0n }));
  if (netns !== 0n) return netns;
  throw new HostError(
    'SOCKETS_UNSEEN',
    'programs on the control group do not see the sockets of this process',
    {
      hint: 'run weir in the cgroup namespace of the host',
    },
  );
}
