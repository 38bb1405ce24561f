import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WallClock } from './wall-clock.ts';

const BOOT = Date.UTC(2026, 0, 2, 3, 4, 5);

function setUp(): { wall: WallClock; state: { now: number; monotonic: bigint } } {
  const state = { now: BOOT, monotonic: 0n };
  return { state, wall: new WallClock({ now: () => state.now }, () => state.monotonic) };
}

test('monotonic nanoseconds become UTC with nanoseconds', () => {
  const { wall } = setUp();
  assert.equal(wall.format(1_000_000_007n), '2026-01-02T03:04:06.000000007Z');
});

test('a clock that ticks in milliseconds does not make times jump', () => {
  const { wall, state } = setUp();
  state.monotonic = 2_000_900_000n;
  state.now = BOOT + 2_000;
  assert.equal(wall.format(5n), '2026-01-02T03:04:05.000000005Z');
});

test('a clock that was set is followed', () => {
  const { wall, state } = setUp();
  state.monotonic = 2_000_000_000n;
  state.now = BOOT + 62_000;
  assert.equal(wall.format(0n), '2026-01-02T03:05:05.000000000Z');
});

test('by default it is the clock of the kernel: now is now', () => {
  const wall = new WallClock({ now: Date.now });
  assert.ok(Math.abs(Date.parse(wall.format(process.hrtime.bigint())) - Date.now()) < 50);
});
