import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

/** The object must load from 5.10 on, with or without BTF in the kernel; this finds what only old kernels would refuse. */
const SOURCES = new URL('../../../bpf/lib', import.meta.url).pathname;
const object = readFileSync(new URL('../../bpf/datapath.bpf.o', import.meta.url));

/** The last helper of 5.10 is bpf_redirect_peer. */
const LAST_HELPER = 155;
const SECTION = { programBits: 1, executable: 4 } as const;
const CODE = { call: 0x85, exit: 0x95, jump: 0x05, wide: 0x18 } as const;
const CLASS = { jump: 5, jump32: 6, mask: 7 } as const;

interface Instruction {
  code: number;
  /** The helper of a call: source register 0. */
  helper?: number;
  /** Where it may go on, by index. */
  next: number[];
}

/** Code sections of an ELF object, 64 bit, little endian. */
function codeSections(): Buffer[] {
  const table = Number(object.readBigUInt64LE(40));
  const [size, count] = [object.readUInt16LE(58), object.readUInt16LE(60)];
  const headers = Array.from({ length: count }, (_, i) => object.subarray(table + i * size));
  const code = headers.filter(
    (header) => header.readUInt32LE(4) === SECTION.programBits && header.readUInt32LE(8) & SECTION.executable,
  );
  return code.map((header) => {
    const start = Number(header.readBigUInt64LE(24));
    return object.subarray(start, start + Number(header.readBigUInt64LE(32)));
  });
}

function instructions(section: Buffer): Map<number, Instruction> {
  const found = new Map<number, Instruction>();
  for (let i = 0; i < section.length / 8; i++) {
    const code = section.readUInt8(i * 8);
    const target = i + 1 + section.readInt16LE(i * 8 + 2);
    const isHelper = code === CODE.call && section.readUInt8(i * 8 + 1) >> 4 === 0;
    const helper = isHelper ? { helper: section.readInt32LE(i * 8 + 4) } : {};
    found.set(i, { code, ...helper, next: successors(code, i, target) });
    if (code === CODE.wide) i += 1;
  }
  return found;
}

function successors(code: number, at: number, target: number): number[] {
  if (code === CODE.exit) return [];
  if (code === CODE.jump) return [target];
  if (code === CODE.wide) return [at + 2];
  const isBranch = (code & CLASS.mask) === CLASS.jump && code !== CODE.call;
  return isBranch ? [at + 1, target] : [at + 1];
}

/** Depth first; an instruction that leads to one still open is in a circle. */
function findLoop(code: Map<number, Instruction>): number | undefined {
  const state = new Map<number, 'open' | 'done'>();
  for (const start of code.keys()) {
    const stack = [start];
    while (stack.length > 0) {
      const at = stack.at(-1) ?? 0;
      const next = code.get(at)?.next ?? [];
      const isFirst = !state.has(at);
      if (isFirst) state.set(at, 'open');
      if (isFirst && next.some((to) => state.get(to) === 'open')) return at;
      const fresh = next.find((to) => code.has(to) && !state.has(to));
      if (fresh !== undefined) stack.push(fresh);
      else state.set(stack.pop() ?? 0, 'done');
    }
  }
  return undefined;
}

const sections = codeSections().map(instructions);

test('there is code to look at', () => {
  assert.ok(sections.reduce((sum, section) => sum + section.size, 0) > 1000);
});

test('no loop, which older kernels (6.1 is one) take only in some shapes', () => {
  assert.deepEqual(
    sections.map(findLoop),
    sections.map(() => undefined),
  );
});

test('no helper and no instruction that 5.10 does not have', () => {
  const all = sections.flatMap((section) => [...section.values()]);
  assert.deepEqual(
    [...new Set(all.map(({ helper = 0 }) => helper))].filter((helper) => helper > LAST_HELPER),
    [],
  );
  assert.deepEqual(
    all.filter(({ code }) => (code & CLASS.mask) === CLASS.jump32),
    [],
  );
});

test('global functions take numbers alone, which asks for no BTF', () => {
  const text = readdirSync(SOURCES)
    .map((name) => readFileSync(join(SOURCES, name), 'utf8'))
    .join('\n');
  const parameters = [...text.matchAll(/^__noinline \w+ \w+\(([^)]*)\)$/gm)].map(([, list = '']) =>
    list.split(', '),
  );
  assert.ok(parameters.length > 0);
  assert.deepEqual(
    parameters.flat().filter((parameter) => !/^(void|__u32 \w+)$/.test(parameter)),
    [],
  );
});
