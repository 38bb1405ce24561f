/** Endpoints come and go by the thousand, and nothing grows: WEIR_CHURN says how many (`scripts/test --churn`: 10,000). */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { Crowd } from './crowd.ts';
import type { Footprint } from './crowd.ts';

enterOwnNamespace();

const CYCLES = Number(process.env['WEIR_CHURN'] ?? 200);
const AT_ONCE = 4;
/** Kinds of containers; each has an identity, which it keeps while it is away. */
const KINDS = 20;
/** What V8 keeps for later is no growth. */
const MOST_RSS_MB = 40;
const MOST_STORE_MB = 12;
/** Of the test itself to the agent, which keeps them open. */
const CONNECTIONS = 4;
const SETTLE_MS = 1_500;

/** Cycles of some containers at a time, numbered from `first` on. */
async function churn(crowd: Crowd, first: number, count: number): Promise<void> {
  const lane = async (start: number): Promise<void> => {
    for (let number = start; number < first + count; number += AT_ONCE)
      await crowd.leave(await crowd.join(number, { kind: String(number % KINDS) }));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => lane(first + index)));
  await sleep(SETTLE_MS);
}

/** What must be the same to the last one. */
function counted(footprint: Footprint): object {
  return { ...footprint, rssMb: 0, storeMb: 0, fds: 0 };
}

test(`${CYCLES} endpoints come and go, and nothing is left of them`, async (context) => {
  await using crowd = new Crowd();
  await crowd.start();
  await crowd.createNetwork();
  for (let number = 0; number < 5; number++) await crowd.join(1_000_000 + number, { kind: 'stays' });
  // what is made once is made by now, and addresses at rest (30 s) are as many as they get
  await churn(crowd, 0, CYCLES / 2);
  const before = await crowd.footprint();
  await churn(crowd, CYCLES, CYCLES);
  const after = await crowd.footprint();
  context.diagnostic(JSON.stringify({ before, after }));
  assert.deepEqual(counted(after), counted(before));
  assert.ok(after.fds <= before.fds + CONNECTIONS, `${before.fds} descriptors, then ${after.fds}`);
  assert.ok(after.rssMb - before.rssMb < MOST_RSS_MB, `${before.rssMb} MB, then ${after.rssMb}`);
  assert.ok(after.storeMb < MOST_STORE_MB, `${after.storeMb} MB in the store`);
});
