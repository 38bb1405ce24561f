import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { cidrContains, parseCidr } from '../base/index.ts';
import { nestedRanges } from './nested-ranges.ts';

/** Few leading bits, so that ranges lie within each other. */
const range = fc
  .record({
    bytes: fc.array(fc.constantFrom(0, 128, 192), { minLength: 4, maxLength: 4 }),
    length: fc.nat(32),
  })
  .map(({ bytes, length }) => {
    const number = bytes.reduce<number>((sum, byte) => sum * 256 + byte, 0);
    const masked = length === 0 ? 0 : (number >>> (32 - length)) * 2 ** (32 - length);
    const address = [24, 16, 8, 0].map((shift) => Math.floor(masked / 2 ** shift) % 256);
    return parseCidr(`${address.join('.')}/${length}`);
  });
const range6 = fc
  .constantFrom('::/0', 'fd00::/8', 'fd00:1::/32', 'fd00:1::1/128', '2001:db8::/32')
  .map(parseCidr);

test('for each range exactly the ranges within it', () => {
  const ranges = fc.uniqueArray(fc.oneof(range, range6), { maxLength: 12, selector: (cidr) => cidr.text });
  fc.assert(
    fc.property(ranges, (cidrs) => {
      const nested = nestedRanges(cidrs);
      for (const outer of cidrs) {
        const expected = cidrs.filter((inner) => cidrContains(outer, inner)).map((inner) => inner.text);
        assert.deepEqual(nested.get(outer.text)?.toSorted(), expected.toSorted());
      }
    }),
  );
});

test('no ranges, no answer', () => {
  assert.equal(nestedRanges([]).size, 0);
});
