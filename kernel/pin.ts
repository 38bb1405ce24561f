/** Pins: names in a bpffs that keep maps, programs and links alive when the process that made them is gone. */
import { closeSync, existsSync, mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { HostError } from '../base/index.ts';
import { ERRNO, expect } from './failure.ts';
import { libbpf } from './libbpf.ts';

export type PinnedKind = 'map' | 'program' | 'link';

const INODE: Record<PinnedKind, string> = { map: 'bpf-map', program: 'bpf-prog', link: 'bpf-link' };

/** Makes a folder and those above. Node's own recursive mkdir never returns where a file system answers ENOENT (procfs). */
export function makeFolders(path: string): void {
  if (existsSync(path)) return;
  makeFolders(dirname(path));
  mkdirSync(path);
}

/** Pins an object, making the folders above. Throws EEXIST where the name is taken, EPERM for names with a dot. */
export function pinObject(fd: number, path: string): void {
  makeFolders(dirname(path));
  expect(libbpf().bpf_obj_pin(fd, path), `pin ${path}`);
}

/** A new descriptor of what is pinned at `path`, undefined where nothing is, HostError where it is of another kind. */
export function openPinned(path: string, kind: PinnedKind): number | undefined {
  const fd = libbpf().bpf_obj_get(path);
  if (fd === -ERRNO.ENOENT) return undefined;
  expect(fd, `open pinned ${kind} ${path}`);
  const inode = readlinkSync(`/proc/self/fd/${fd}`);
  if (inode.replaceAll('_', '-').includes(INODE[kind])) return fd; // a link was spelt bpf_link before
  closeSync(fd);
  const hint = 'remove the file, or point weir at another bpffs';
  throw new HostError('PIN_OF_ANOTHER_KIND', `${path} holds ${inode}, not a ${kind}`, { hint });
}

export function openPinnedProgram(path: string): number | undefined {
  return openPinned(path, 'program');
}

export function openPinnedLink(path: string): number | undefined {
  return openPinned(path, 'link');
}

/** Removes a pin; harmless where there is none. The object lives on while a descriptor or an attachment holds it. */
export function unpin(path: string): void {
  rmSync(path, { force: true });
}

export function closeFd(fd: number): void {
  closeSync(fd);
}
