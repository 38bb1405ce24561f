import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { portPrefixes, prefixCovers } from './port-prefix.ts';

test('a single port and all ports are one prefix', () => {
  assert.deepEqual(portPrefixes(80, 80), [{ port: 80, bits: 16 }]);
  assert.deepEqual(portPrefixes(0, 65_535), [{ port: 0, bits: 0 }]);
});

test('prefixes cover exactly the ports of the range, each once, with at most 30 of them', () => {
  const port = fc.nat(65_535);
  fc.assert(
    fc.property(port, port, fc.array(port, { maxLength: 20 }), (a, b, others) => {
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const prefixes = portPrefixes(first, last);
      assert.ok(prefixes.length <= 30);
      for (const each of [first - 1, first, last, last + 1, ...others]) {
        const hits = prefixes.filter((prefix) => prefixCovers(prefix, { port: each, bits: 16 }));
        const isPort = each >= 0 && each <= 65_535;
        if (isPort)
          assert.equal(hits.length, each >= first && each <= last ? 1 : 0, `${each} in ${first}-${last}`);
      }
    }),
  );
});
