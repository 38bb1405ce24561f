import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseCidr } from '../base/index.ts';
import { decodeAddress, encodeAddress, SCOPE, splitPrefix } from './interface-address.ts';
import type { Scope } from './interface-address.ts';
import { decodeLink, encodeLink } from './link.ts';
import { decodeNeighbour, encodeNeighbour } from './neighbour.ts';
import { addressText } from './netlink-attribute.ts';
import { decodeRoute, encodeRoute, encodeRouteMatch } from './route.ts';
import { decodeRule, encodeRule } from './rule.ts';

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(addressText);
// never IPv4-mapped, which reads back as IPv4
const ipv6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((raw) => addressText(Uint8Array.of(0xfd, ...raw.subarray(1))));
const anyAddress = fc.oneof(ipv4, ipv6);
const prefixOf = (address: string): fc.Arbitrary<string> =>
  fc.integer({ min: 0, max: address.includes(':') ? 128 : 32 }).map((length) => `${address}/${length}`);
const anyPrefix = anyAddress.chain(prefixOf);
/** The network of a prefix: the host bits cleared. */
const anyCidr = anyPrefix.map((prefix) => {
  const { address, length } = splitPrefix(prefix);
  const raw = Buffer.from(address.includes(':') ? new Uint8Array(16).fill(0xfd) : new Uint8Array(4).fill(10));
  for (let bit = length; bit < raw.length * 8; bit += 1)
    raw[bit >> 3] = (raw[bit >> 3] ?? 0) & ~(0x80 >> (bit & 7));
  return parseCidr(`${addressText(raw)}/${length}`).text;
});
const word = fc.integer({ min: 0, max: 0xffffffff });
const index = fc.integer({ min: 1, max: 0x7fffffff });
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, '0')).join(':'));
const name = fc.stringMatching(/^[a-z][a-z0-9._-]{0,14}$/);
const scope = fc.constantFrom(...(Object.keys(SCOPE) as Scope[]));

test('a link reads back as it was described', () => {
  const fields = fc.record({ index, name, mac, mtu: word, up: fc.boolean(), kind: name, master: index });
  fc.assert(
    fc.property(fields, (link) => {
      assert.deepEqual(decodeLink(encodeLink(link)), {
        ...link,
        carrier: false,
        loopback: false,
        framed: false,
      });
    }),
  );
  const described = encodeLink({ index: 2, name: 'eth0' });
  described.writeUInt16LE(1, 2); // ARPHRD_ETHER
  assert.equal(decodeLink(described)?.framed, true);
});

test('an address reads back with its length and scope', () => {
  fc.assert(
    fc.property(index, anyPrefix, scope, (ifindex, prefix, reach) => {
      assert.deepEqual(decodeAddress(encodeAddress(ifindex, prefix, { scope: reach })), {
        ifindex,
        ...splitPrefix(prefix),
        scope: reach,
        temporary: false,
        usable: true,
      });
    }),
  );
});

test('what keeps an IPv6 address from being a source is read; in IPv4 the same bits mean something else', () => {
  const withFlags = (prefix: string, flags: number): Buffer => {
    const encoded = encodeAddress(3, prefix);
    encoded.writeUInt32LE(flags, encoded.length - 4);
    return encoded;
  };
  for (const [flags, temporary, usable] of [
    [0x80, false, true],
    [0x81, true, true],
    [0x40, false, false],
    [0xa0, false, false],
    [0x48, false, false],
  ] as const) {
    const six = decodeAddress(withFlags('fd00::1/64', flags));
    assert.deepEqual([six?.temporary, six?.usable], [temporary, usable], flags.toString(16));
    const four = decodeAddress(withFlags('10.0.0.1/24', flags));
    assert.deepEqual([four?.temporary, four?.usable], [false, true]);
  }
});

test('a route reads back as it was given, the default route included', () => {
  const fields = fc.record(
    {
      destination: anyCidr,
      ifindex: index,
      table: word,
      metric: word,
      protocol: fc.integer({ min: 0, max: 255 }),
      scope,
    },
    { requiredKeys: ['destination', 'table', 'protocol', 'scope'] },
  );
  fc.assert(
    fc.property(fields, fc.option(anyAddress, { nil: undefined }), (fieldsOf, via) => {
      const route = via === undefined ? fieldsOf : { ...fieldsOf, gateway: via, source: via };
      const family = route.destination.includes(':') ? 6 : 4;
      assert.deepEqual(decodeRoute(encodeRoute(route)), { ...route, family, type: 'unicast' });
    }),
  );
});

test('a rule reads back as it was given', () => {
  const fields = fc.record(
    { priority: word, table: word, mark: word, mask: word, input: name, output: name },
    { requiredKeys: ['priority', 'table'] },
  );
  fc.assert(
    fc.property(fields, ipv4.chain(prefixOf), ipv4.chain(prefixOf), (rule, from, to) => {
      assert.deepEqual(decodeRule(encodeRule({ ...rule, from, to })), { ...rule, family: 4, from, to });
    }),
  );
});

test('a neighbour reads back as permanent', () => {
  fc.assert(
    fc.property(index, anyAddress, mac, (ifindex, address, hardware) => {
      const family = address.includes(':') ? 6 : 4;
      const want = { ifindex, family, address, mac: hardware, permanent: true };
      assert.deepEqual(decodeNeighbour(encodeNeighbour({ ifindex, address, mac: hardware })), want);
    }),
  );
});

test('any bytes decode to something or to undefined, never to an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 160 }), (garbage) => {
      const payload = Buffer.from(garbage);
      for (const decode of [decodeLink, decodeAddress, decodeRoute, decodeRule, decodeNeighbour])
        decode(payload);
    }),
    { numRuns: 2000 },
  );
});

test('a route without a gateway is on the link, one with a gateway is global, and a match names neither', () => {
  const scopeOf = (body: Buffer): string | undefined => decodeRoute(body)?.scope;
  assert.equal(scopeOf(encodeRoute({ destination: '10.0.0.0/8', ifindex: 3 })), 'link');
  assert.equal(scopeOf(encodeRoute({ destination: '10.0.0.0/8', gateway: '192.0.2.1' })), 'global');
  assert.equal(scopeOf(encodeRoute({ destination: 'fd00::/8', ifindex: 3 })), 'global');
  assert.equal(encodeRouteMatch({ destination: '10.0.0.0/8' })[6], SCOPE.nowhere);
});

test('a prefix that is none is refused by name', () => {
  for (const bad of ['10.0.0.1/33', 'fd00::/129', '10.0.0.1/', '10.0.0.1/8/8', '10.0.0.1/x', '10.0.0.1/-1']) {
    assert.throws(() => splitPrefix(bad), { code: 'BAD_ADDRESS' }, bad);
  }
});
