import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as layout from './layout.gen.ts';

interface Codec {
  size: number;
  decode: (bytes: Buffer, at?: number) => unknown;
  encode: (value: never, bytes?: Buffer, at?: number) => Buffer;
  /** Bytes that mean nothing. */
  unused: number;
}

const l = layout;
const CODECS: Record<string, Codec> = {
  config: { size: l.configSize, decode: l.decodeConfig, encode: l.encodeConfig, unused: 4 },
  endpoint: { size: l.endpointSize, decode: l.decodeEndpoint, encode: l.encodeEndpoint, unused: 4 },
  device: { size: l.deviceSize, decode: l.decodeDevice, encode: l.encodeDevice, unused: 4 },
  ipcacheKey: { size: l.ipcacheKeySize, decode: l.decodeIpcacheKey, encode: l.encodeIpcacheKey, unused: 0 },
  ipcacheEntry: {
    size: l.ipcacheEntrySize,
    decode: l.decodeIpcacheEntry,
    encode: l.encodeIpcacheEntry,
    unused: 0,
  },
  policyKey: { size: l.policyKeySize, decode: l.decodePolicyKey, encode: l.encodePolicyKey, unused: 0 },
  policyEntry: {
    size: l.policyEntrySize,
    decode: l.decodePolicyEntry,
    encode: l.encodePolicyEntry,
    unused: 0,
  },
  ctKey: { size: l.ctKeySize, decode: l.decodeCtKey, encode: l.encodeCtKey, unused: 1 },
  ctEnd: { size: l.ctEndSize, decode: l.decodeCtEnd, encode: l.encodeCtEnd, unused: 0 },
  ctEntry: { size: l.ctEntrySize, decode: l.decodeCtEntry, encode: l.encodeCtEntry, unused: 7 },
  natKey: { size: l.natKeySize, decode: l.decodeNatKey, encode: l.encodeNatKey, unused: 3 },
  natEntry: { size: l.natEntrySize, decode: l.decodeNatEntry, encode: l.encodeNatEntry, unused: 2 },
  fragmentKey: {
    size: l.fragmentKeySize,
    decode: l.decodeFragmentKey,
    encode: l.encodeFragmentKey,
    unused: 3,
  },
  fragmentEntry: {
    size: l.fragmentEntrySize,
    decode: l.decodeFragmentEntry,
    encode: l.encodeFragmentEntry,
    unused: 2,
  },
  uplink: { size: l.uplinkSize, decode: l.decodeUplink, encode: l.encodeUplink, unused: 0 },
  serviceKey: { size: l.serviceKeySize, decode: l.decodeServiceKey, encode: l.encodeServiceKey, unused: 5 },
  service: { size: l.serviceSize, decode: l.decodeService, encode: l.encodeService, unused: 0 },
  socketProbe: {
    size: l.socketProbeSize,
    decode: l.decodeSocketProbe,
    encode: l.encodeSocketProbe,
    unused: 0,
  },
  event: { size: l.eventSize, decode: l.decodeEvent, encode: l.encodeEvent, unused: 6 },
  metric: { size: l.metricSize, decode: l.decodeMetric, encode: l.encodeMetric, unused: 0 },
};

test('every generated codec is among those tested here', () => {
  const generated = Object.keys(layout).filter((name) => name.startsWith('decode'));
  assert.equal(Object.keys(CODECS).length, generated.length);
});

for (const [name, { size, decode, encode, unused }] of Object.entries(CODECS)) {
  const bytes = fc.uint8Array({ minLength: size, maxLength: size }).map((array) => Buffer.from(array));

  test(`${name} survives the way there and back`, () => {
    fc.assert(
      fc.property(bytes, fc.nat(32), (wire, at) => {
        const value = decode(wire);
        const room = Buffer.alloc(size + at, 0xee);
        encode(value as never, room, at);
        assert.deepEqual(decode(room, at), value);
        assert.equal(encode(value as never).length, size);
        assert.ok(
          room.subarray(0, at).every((byte) => byte === 0xee),
          'it wrote before its place',
        );
      }),
    );
  });

  test(`every byte of ${name} means something, but for ${unused}`, () => {
    const wire = Buffer.from(Array.from({ length: size }, (_, i) => i + 1));
    const value = JSON.stringify(decode(wire), bigintText);
    const dead = [...wire.keys()].filter((i) => {
      const changed = Buffer.from(wire);
      changed[i] = 0xfe;
      return JSON.stringify(decode(changed), bigintText) === value;
    });
    assert.equal(dead.length, unused);
  });
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
