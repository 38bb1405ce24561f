import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireHost } from './host.ts';
import { isKernelAtLeast, parseKernelVersion } from './kernel-version.ts';
import { sysctlPath } from './sysctl.ts';

const good = { userId: 0, kernel: '6.1.0-18-amd64', isContained: false };

test('a user other than root is told to become root', () => {
  const ask = (): void => requireHost({ bpffs: '/sys/fs/bpf' }, { ...good, userId: 1000 });
  assert.throws(ask, { code: 'NOT_ROOT', hint: /sudo/ });
});

test('a kernel before 5.10 is named, with what to do', () => {
  const ask = (): void => requireHost({ bpffs: '/sys/fs/bpf' }, { ...good, kernel: '4.19.0-26-amd64' });
  assert.throws(ask, {
    code: 'KERNEL_TOO_OLD',
    message: /4\.19\.0-26-amd64 is older than 5\.10/,
    hint: /kernel/,
  });
});

test('kernel versions compare by number, not by text', () => {
  assert.deepEqual(parseKernelVersion('6.18.44-fc-v595'), { major: 6, minor: 18 });
  assert.deepEqual(parseKernelVersion('nonsense'), { major: 0, minor: 0 });
  for (const [running, since, want] of [
    ['5.10.0', '5.10', true],
    ['5.9.1', '5.10', false],
    ['6.6', '5.10', true],
    ['6.18.44', '6.6', true],
    ['4.19', '5.1', false],
  ] as const) {
    assert.equal(isKernelAtLeast(since, running), want, `${running} ≥ ${since}`);
  }
});

test('a sysctl is named with dots, and an interface with a dot in its name with a slash', () => {
  assert.equal(sysctlPath('net.ipv4.ip_forward'), '/proc/sys/net/ipv4/ip_forward');
  assert.equal(sysctlPath('net.ipv4.conf.eth0/1.rp_filter'), '/proc/sys/net/ipv4/conf/eth0.1/rp_filter');
});
