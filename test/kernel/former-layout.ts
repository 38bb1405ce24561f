/**
 * The datapath of another version: compiled from the present source with structs of another layout, loaded and put in
 * force as that version would have left it.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Conversion, DatapathObject } from '../../bpf/index.ts';
import { BpfMap } from '../../kernel/index.ts';

const SOURCE = fileURLToPath(new URL('../../../bpf', import.meta.url));
/** Struct → what stands first in it, in that version. */
const FORMER_FIELDS = {
  'conntrack.h': ['struct ct_entry {', '\t__u64 former;'],
  'nat.h': ['struct nat_entry {', '\t__u32 former;\n\t__u32 unused_then;'],
  'endpoint.h': ['struct device {', '\t__u64 former;'],
} as const;

/** Bytes of that object. */
export function formerObject(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'weir-former-'));
  try {
    cpSync(SOURCE, folder, { recursive: true });
    for (const [file, [struct, fields]] of Object.entries(FORMER_FIELDS)) {
      const path = join(folder, 'lib', file);
      const text = readFileSync(path, 'utf8');
      if (!text.includes(struct)) throw new Error(`${file} has no ${struct}`);
      writeFileSync(path, text.replace(struct, `${struct}\n${fields}`));
    }
    const output = join(folder, 'former.o');
    const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
    const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v2', `-I/usr/include/${triplet}`];
    const { status, stderr } = spawnSync(
      'clang-14',
      [...flags, '-c', join(folder, 'datapath.bpf.c'), '-o', output],
      {
        encoding: 'utf8',
      },
    );
    if (status !== 0) throw new Error(stderr);
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Hooks {
  tcx: boolean;
  /** Devices of endpoints, and the uplink's. */
  endpoints: { name: string; ifindex: number }[];
  uplink: { name: string; ifindex: number };
}

/** Makes that version's programs and maps those in force, with all that the present ones know. */
export async function goBack(bpffs: string, elf: Buffer, { tcx, endpoints, uplink }: Hooks): Promise<void> {
  const object = new DatapathObject({ bpffs, tcx, elf });
  const folder = join(bpffs, 'weir', 'maps');
  for (const name of readdirSync(folder)) {
    const from = BpfMap.openPinned(join(folder, name));
    const to = BpfMap.openPinned(join(bpffs, 'weir', 'next', name));
    if (from !== undefined && to !== undefined) Conversion.between(from, to)?.run({ onlyNew: true });
    for (const map of [from, to]) map?.close();
  }
  for (const device of endpoints) {
    await object.attach('from_container', device, 'ingress');
    await object.attach('to_container', device, 'egress');
  }
  await object.attach('from_uplink', uplink, 'ingress');
  await object.takeOver();
  object.close();
}
