import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cidrContains, parseCidr } from '../base/index.ts';
import { uniqueLocalPrefix } from './unique-local.ts';

test('any name gives a /48 of fd00::/8, always the same', () => {
  const whole = parseCidr('fd00::/8');
  fc.assert(
    fc.property(fc.string(), (name) => {
      const prefix = parseCidr(uniqueLocalPrefix(name));
      assert.equal(prefix.length, 48);
      assert.ok(cidrContains(whole, prefix));
      assert.equal(uniqueLocalPrefix(name), prefix.text);
    }),
  );
});

test('two names give two prefixes; the one of the default name never changes', () => {
  assert.notEqual(uniqueLocalPrefix('a'), uniqueLocalPrefix('b'));
  assert.equal(uniqueLocalPrefix('default'), 'fdff:5d26:b06c::/48');
});
