/** Things a kernel test makes and must not leave behind; each is disposable. Names carry the process id. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Netlink, requireBpffs } from '../../kernel/index.ts';

let made = 0;

/** At most ten characters, so that a suffix still fits into an interface's fifteen. */
export function uniqueName(): string {
  made += 1;
  return `wk${process.pid % 100000}x${made}`;
}

/** Runs a command that the test cannot do without. */
function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

export interface Folder extends Disposable {
  path: string;
}

/** A bpffs of its own. */
export function scratchBpffs(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bpffs-'));
  requireBpffs(folder);
  return {
    path: folder,
    [Symbol.dispose]() {
      run('umount', folder);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Bytes of the object that clang makes of a C source. */
export function compile(source: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'weir-clang-'));
  try {
    const [input, output] = [join(folder, 'tiny.bpf.c'), join(folder, 'tiny.o')];
    writeFileSync(input, `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n${source}\n`);
    const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
    const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v2', `-I/usr/include/${triplet}`];
    run('clang-14', ...flags, '-c', input, '-o', output);
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Veth extends AsyncDisposable {
  netlink: Netlink;
  name: string;
  index: number;
  peerName: string;
  peerIndex: number;
}

/** A veth pair, both ends down. */
export function scratchVeth(): Veth {
  const netlink = Netlink.open();
  const name = uniqueName();
  const peerName = `${name}p`;
  const mac = '02:77:65:00:00:01';
  const peerMac = '02:77:65:00:00:02';
  const pair = netlink.createVeth({ name, peer: peerName, mac, peerMac, mtu: 1450, withoutLinkLocal: true });
  return {
    netlink,
    name,
    peerName,
    ...pair,
    async [Symbol.asyncDispose]() {
      netlink.close(); // a test may have closed it
      const last = Netlink.open();
      await last.deleteLink(pair.index);
      last.close();
    },
  };
}
