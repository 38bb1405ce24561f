import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '../base/index.ts';
import { LostAddresses } from './lost-addresses.ts';

const CENSUS = { subnets: ['10.1.0.0/24'], addresses: ['10.210.0.5'] };

/** Lets what waits for nothing but its turn go on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

function rig(census: (signal: AbortSignal) => Promise<typeof CENSUS>): {
  lost: LostAddresses;
  asked: object[];
} {
  const asked: object[] = [];
  const reconcile = async (inUse: object): Promise<typeof CENSUS> => {
    asked.push(inUse);
    return { addresses: [], subnets: [] };
  };
  const endpoints = {
    list: () =>
      [
        { ipv4: '10.210.0.9', ipv6: '' },
        { ipv4: '', ipv6: 'fd00::9' },
      ] as never,
  };
  return {
    asked,
    lost: new LostAddresses({ docker: { census }, ipam: { reconcile }, endpoints, log: silentLog }),
  };
}

test('looks once, when Docker has repeated what the restart cut off; endpoints count as in use', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { lost, asked } = rig(async () => CENSUS);
  lost.start();
  context.mock.timers.tick(19_999);
  await turns();
  assert.deepEqual(asked, []);
  context.mock.timers.tick(1);
  await turns();
  assert.deepEqual(asked, [{ subnets: ['10.1.0.0/24'], addresses: ['10.210.0.5', '10.210.0.9', 'fd00::9'] }]);
  context.mock.timers.tick(100_000);
  await turns();
  assert.equal(asked.length, 1);
});

test('tries again until Docker answers', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let attempts = 0;
  const { lost, asked } = rig(async () => {
    attempts += 1;
    if (attempts < 3) throw new Error('connection refused');
    return CENSUS;
  });
  lost.start(0);
  for (let second = 0; second < 12; second++) {
    context.mock.timers.tick(1_000);
    await turns();
  }
  assert.deepEqual([attempts, asked.length], [3, 1]);
});

test('a Docker that hangs is given up, and nobody looks after the end', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let attempts = 0;
  const hang = (signal: AbortSignal): Promise<never> => {
    attempts += 1;
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  };
  const { lost, asked } = rig(hang);
  lost.start(0);
  context.mock.timers.tick(1);
  await turns();
  context.mock.timers.tick(10_000);
  await turns();
  context.mock.timers.tick(5_000);
  await turns();
  assert.equal(attempts, 2);
  lost.stop();
  await turns();
  context.mock.timers.tick(100_000);
  await turns();
  assert.deepEqual([attempts, asked], [2, []]);
});
