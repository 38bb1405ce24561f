import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedLock } from './keyed-lock.ts';

test('tasks of one key run in order, other keys do not wait', async () => {
  const lock = new KeyedLock();
  const seen: string[] = [];
  let release = (): void => undefined;
  const first = lock.run('a', () =>
    new Promise<void>((resolve) => (release = resolve)).then(() => void seen.push('first')),
  );
  const second = lock.run('a', async () => void seen.push('second'));
  await lock.run('b', async () => void seen.push('other'));
  assert.deepEqual(seen, ['other']);
  release();
  await Promise.all([first, second]);
  assert.deepEqual(seen, ['other', 'first', 'second']);
});

test('a failed task does not stop the next one, and nothing stays behind', async () => {
  const lock = new KeyedLock();
  const failed = lock.run('a', () => Promise.reject(new Error('first')));
  const second = lock.run('a', () => Promise.resolve('second'));
  assert.equal(lock.isBusy('a'), true);
  await assert.rejects(failed, /first/);
  assert.equal(await second, 'second');
  assert.equal(lock.isBusy('a'), false);
});
