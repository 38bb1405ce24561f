import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { ContainerNumbers } from './container-numbers.ts';

test('endpoints of one container have one number, containers each their own', () => {
  const numbers = new ContainerNumbers();
  const a = numbers.assign('a1', 'a');
  assert.equal(numbers.assign('a2', 'a'), a);
  assert.notEqual(numbers.assign('b1', 'b'), a);
  assert.ok(a > 0, '0 is nobody');
});

test('a number is kept when it becomes known whose it is, and is not given again when it went', () => {
  const numbers = new ContainerNumbers();
  const unknown = numbers.assign('a1', '');
  assert.notEqual(numbers.assign('b1', ''), unknown, 'unknown is not one container');
  assert.equal(numbers.assign('a1', 'a'), unknown);
  assert.equal(numbers.assign('a2', 'a'), unknown);
  numbers.release('a1');
  numbers.release('a2');
  assert.notEqual(numbers.assign('a3', 'a'), unknown);
});

test('after a restart numbers in the maps are kept by their endpoints and given to nobody else', () => {
  const numbers = new ContainerNumbers(7);
  for (const [endpoint, number] of Object.entries({ a1: 7, a2: 7, b1: 3 })) numbers.adopt(endpoint, number);
  assert.equal(numbers.assign('c1', 'c'), 8);
  assert.equal(numbers.assign('a1', 'a'), 7);
  assert.equal(numbers.assign('a2', 'a'), 7);
  assert.equal(numbers.assign('b1', 'b'), 3);
});

test('an endpoint that was nobody’s before the restart gets a number as any other', () => {
  const numbers = new ContainerNumbers(7);
  numbers.adopt('a1', 0);
  assert.equal(numbers.assign('a1', 'a'), 8);
});

test('at no time do two containers share a number in the maps', () => {
  const step = fc.record({
    endpoint: fc.nat(5),
    known: fc.boolean(),
    leaves: fc.boolean(),
    restarts: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let numbers = new ContainerNumbers();
      const inMaps = new Map<string, { container: string; number: number }>();
      for (const { endpoint, known, leaves, restarts } of steps) {
        const key = `e${endpoint}`;
        const container = `c${endpoint % 3}`;
        if (restarts === 0) {
          numbers = new ContainerNumbers(Math.max(0, ...[...inMaps.values()].map(({ number }) => number)));
          for (const [adopted, { number }] of inMaps) numbers.adopt(adopted, number);
        } else if (leaves) {
          numbers.release(key);
          inMaps.delete(key);
        } else inMaps.set(key, { container, number: numbers.assign(key, known ? container : '') });
        const owners = new Map<number, string>();
        for (const entry of inMaps.values()) {
          assert.equal(owners.get(entry.number) ?? entry.container, entry.container);
          owners.set(entry.number, entry.container);
        }
      }
    }),
  );
});
