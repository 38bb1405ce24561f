import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  addressBits,
  addressBytes,
  addressFromBytes,
  addressFromNumber,
  addressNumber,
  cidrContains,
  cidrSize,
  familyOf,
  parseAddress,
  prefixAround,
} from './address.ts';

const ipv4 = fc.ipV4();
/** In canonical form, and not IPv4 in disguise. */
const ipv6 = fc
  .ipV6()
  .filter((text) => !text.includes('.'))
  .map(parseAddress)
  .filter((address) => familyOf(addressFromBytes(addressBytes(address))) === 6);
const address = fc.oneof(ipv4, ipv6);

test('an address is its number and its bytes, in both families', () => {
  fc.assert(
    fc.property(address, (text) => {
      assert.equal(addressFromNumber(addressNumber(text)), text);
      assert.equal(addressFromBytes(addressBytes(text)), text);
    }),
  );
});

test('a form that stands for two addresses is none', () => {
  for (const text of ['::10.0.0.1', '10.1', '010.0.0.1', 'fe80::1%eth0'])
    assert.throws(() => parseAddress(text), { code: 'BAD_ADDRESS' });
});

test('numbers count as addresses do, and the families lie apart', () => {
  assert.equal(addressNumber('10.0.1.0') - addressNumber('10.0.0.255'), 1n);
  assert.equal(addressNumber('fd00:0:0:1::') - addressNumber('fd00::ffff:ffff:ffff:ffff'), 1n);
  assert.equal(addressFromNumber(addressNumber('0.0.0.0') - 1n), '::fffe:ffff:ffff');
});

test('the prefix around an address is the only one of its length that holds it', () => {
  const length = fc.nat(128);
  fc.assert(
    fc.property(address, length, (text, wanted) => {
      const prefix = prefixAround(text, Math.min(wanted, addressBits(familyOf(text))));
      assert.ok(cidrContains(prefix, text));
      const first = addressNumber(prefix.address);
      const offset = addressNumber(text) - first;
      assert.ok(offset >= 0n && offset < cidrSize(prefix));
      assert.equal(first % cidrSize(prefix), 0n);
    }),
  );
});
