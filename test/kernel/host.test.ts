import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import {
  BpfMap,
  isKernelAtLeast,
  MAP_TYPE,
  probeHost,
  requireBpffs,
  requireHost,
} from '../../kernel/index.ts';
import { scratchBpffs } from './scratch.ts';

test('a kernel has every feature that its version must have', () => {
  for (const { name, present, conclusive, since, detail } of probeHost()) {
    assert.equal(conclusive, true, `${name}: ${detail}`);
    // BTF is a build option
    if (isKernelAtLeast(since) && name !== 'btf')
      assert.equal(present, true, `${name}, in Linux since ${since}`);
  }
});

test('probes are asked once and answered again at no cost', () => {
  const first = probeHost();
  const second = probeHost();
  for (const [index, probe] of first.entries()) assert.equal(second[index], probe);
});

test('a host that has everything passes, and a bpffs below a mounted one is no new mount', () => {
  using folder = scratchBpffs();
  const path = `${folder.path}/pinned`;
  const map = BpfMap.create({
    type: MAP_TYPE.array,
    name: 'weir_host',
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
  });
  map.pin(path);
  map.close();
  requireHost({ bpffs: folder.path });
  requireHost({ bpffs: `${folder.path}/weir` });
  assert.ok(existsSync(path));
});

test('where no bpffs can be, the message says what to run', () => {
  const refusal = { code: 'BPFFS_MISSING', hint: 'mount -t bpf bpf /proc/weir' };
  assert.throws(() => requireBpffs('/proc/weir'), refusal);
});

test('in a container no bpffs is mounted: the host is asked for one', () => {
  const refusal = { code: 'BPFFS_MISSING', message: /^the host has no bpffs/, hint: 'mount -t bpf bpf /tmp' };
  assert.throws(() => requireBpffs('/tmp', true), refusal);
});
