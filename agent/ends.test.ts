import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { Ends } from './ends.ts';

test('the last that was started ends first, each when the one after it has ended', async () => {
  const ends = new Ends(silentLog);
  const log: string[] = [];
  ends.add('a', () => void log.push('a'));
  ends.add('b', async () => {
    await new Promise(setImmediate);
    log.push('b');
  });
  ends.add('c', () => void log.push('c'));
  await ends.run(1_000);
  assert.deepEqual(log, ['c', 'b', 'a']);
});

test('what fails is said and holds up nothing', async () => {
  const said: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (message, fields) => said.push(`${message} ${JSON.stringify(fields)}`),
  };
  const ends = new Ends(log);
  let isEnded = false;
  ends.add('a', () => void (isEnded = true));
  ends.add('b', () => Promise.reject(new Error('no')));
  ends.add('c', () => {
    throw new Error('never');
  });
  await ends.run(1_000);
  assert.ok(isEnded);
  assert.deepEqual(said, [
    'cannot end {"what":"c","reason":"never"}',
    'cannot end {"what":"b","reason":"no"}',
  ]);
});

test('what hangs is left alone in time for the others', async () => {
  const said: unknown[] = [];
  const ends = new Ends({ ...silentLog, warn: (_, fields) => said.push(fields) });
  let isEnded = false;
  ends.add('a', () => void (isEnded = true));
  for (const what of ['b', 'c', 'd']) ends.add(what, () => new Promise<void>(() => {}));
  const start = performance.now();
  await ends.run(300);
  assert.ok(isEnded);
  assert.deepEqual(said, [{ what: 'd' }, { what: 'c' }, { what: 'b' }]);
  assert.ok(performance.now() - start < 400);
});

test('once, however often and whenever it is asked for', async () => {
  const ends = new Ends(silentLog);
  let count = 0;
  ends.add('a', async () => {
    await new Promise(setImmediate);
    count += 1;
  });
  await Promise.all([ends.run(1_000), ends.run(1_000)]);
  await ends.run(1_000);
  assert.equal(count, 1);
});
