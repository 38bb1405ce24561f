import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { withoutRange } from './reserved-ports.ts';

const MASQUERADE = { first: 61000, last: 65535 };

test('what others reserved stays as it is', () => {
  assert.deepEqual(withoutRange('', MASQUERADE), []);
  assert.deepEqual(withoutRange('22,8080-8090', MASQUERADE), ['22', '8080-8090']);
  assert.deepEqual(withoutRange('60999,61000-65535', MASQUERADE), ['60999']);
});

test('a range that the kernel merged with a neighbour is cut apart', () => {
  assert.deepEqual(withoutRange('60999-65535', MASQUERADE), ['60999']);
  assert.deepEqual(withoutRange('60000-65535', MASQUERADE), ['60000-60999']);
  assert.deepEqual(withoutRange('100-200', { first: 150, last: 160 }), ['100-149', '161-200']);
  assert.deepEqual(withoutRange('100-200', { first: 101, last: 199 }), ['100', '200']);
});

test('every port outside the range is reserved as before, none inside', () => {
  const range = fc
    .tuple(fc.nat(40), fc.nat(40))
    .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
  const isIn = (list: string[], port: number): boolean =>
    list.some((text) => {
      const [first = 0, last = first] = text.split('-').map(Number);
      return port >= first && port <= last;
    });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 4 }), range, (others, ours) => {
      const list = others.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
      const left = withoutRange(list.join(','), ours);
      for (let port = 0; port <= 40; port++) {
        const isOurs = port >= ours.first && port <= ours.last;
        assert.equal(isIn(left, port), !isOurs && isIn(list, port));
      }
    }),
  );
});
