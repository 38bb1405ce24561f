import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostError } from '../base/index.ts';
import { errnoName, expect, KernelError } from './failure.ts';

test('an errno is named whichever its sign, and an unknown one stays a number', () => {
  assert.equal(errnoName(19), 'ENODEV');
  assert.equal(errnoName(-19), 'ENODEV');
  assert.equal(errnoName(-524), 'ENOTSUPP');
  assert.equal(errnoName(-4000), 'errno 4000');
});

test('a refusal says operation, errno and what that means', () => {
  const error = new KernelError('delete link 7', -19);
  assert.equal(error.message, 'delete link 7: ENODEV (no such device)');
  assert.ok(error instanceof HostError);
  assert.equal(error.code, 'KERNEL_REFUSED');
});

test("the kernel's own sentence takes the place of the general one", () => {
  assert.equal(new KernelError('set MTU', -22, 'mtu too small').message, 'set MTU: EINVAL (mtu too small)');
});

test('a result passes unless it is an error number', () => {
  assert.equal(expect(7, 'count'), 7);
  assert.throws(() => expect(-1, 'count'), { errno: 'EPERM' });
});
