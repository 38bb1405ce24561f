import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  address,
  bytes,
  decodeAttributes,
  macBytes,
  macText,
  nested,
  readAddress,
  readNested,
  readText,
  readU32,
  text,
  u32,
} from './netlink-attribute.ts';

const anyType = fc.integer({ min: 0, max: 0x3fff });
const anyValue = fc.uint8Array({ maxLength: 70 });

test('attributes survive encoding, whatever their lengths', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(anyType, anyValue), { selector: ([type]) => type }), (list) => {
      const encoded = Buffer.concat(list.map(([type, value]) => bytes(type, value)));
      assert.equal(encoded.length % 4, 0);
      const found = decodeAttributes(encoded);
      assert.deepEqual(
        [...found.keys()],
        list.map(([type]) => type),
      );
      for (const [type, value] of list)
        assert.deepEqual(Buffer.from(found.get(type) ?? []), Buffer.from(value));
    }),
  );
});

test('any bytes decode to attributes that lie within them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
      const payload = Buffer.from(garbage);
      for (const value of decodeAttributes(payload).values()) {
        assert.ok(value.byteOffset >= payload.byteOffset);
        assert.ok(value.byteOffset + value.length <= payload.byteOffset + payload.length);
      }
    }),
  );
});

test('numbers, names, addresses and nests read back', () => {
  const found = decodeAttributes(
    Buffer.concat([
      u32(1, 0xdeadbeef),
      text(2, 'weir1'),
      address(3, '10.210.0.5'),
      address(4, 'fd00::5'),
      nested(5, u32(1, 7), nested(2, text(1, 'inner'))),
    ]),
  );
  assert.equal(readU32(found, 1), 0xdeadbeef);
  assert.equal(readText(found, 2), 'weir1');
  assert.equal(readAddress(found, 3), '10.210.0.5');
  assert.equal(readAddress(found, 4), 'fd00::5');
  const inner = readNested(found, 5);
  assert.equal(readU32(inner, 1), 7);
  assert.equal(readText(readNested(inner, 2), 1), 'inner');
});

test('what is not there, or too short, reads as undefined', () => {
  const found = decodeAttributes(bytes(1, Buffer.of(1, 2)));
  assert.equal(readU32(found, 1), undefined);
  assert.equal(readAddress(found, 1), undefined);
  assert.equal(readText(found, 9), undefined);
  assert.equal(readNested(found, 9).size, 0);
});

test('a MAC address survives, and a bad one is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
      assert.deepEqual(macBytes(macText(mac)), Buffer.from(mac));
    }),
  );
  for (const bad of [
    '',
    '02:00:00:00:00',
    '02:00:00:00:00:0g',
    '02-00-00-00-00-00',
    '02:00:00:00:00:00:00',
  ]) {
    assert.throws(() => macBytes(bad), /not a MAC address/);
  }
});
