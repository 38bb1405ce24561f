import assert from 'node:assert/strict';
import test from 'node:test';
import { CidrIdentities } from './cidr-identities.ts';
import { isCidrIdentity, isEndpointIdentity, isReserved } from './identity.ts';
import { RESERVED, reservedIdentities } from './reserved.ts';

test('reserved identities are of their own kind, in the order of their numbers', () => {
  const all = reservedIdentities();
  assert.deepEqual(all[1], { id: RESERVED.world, labels: ['reserved:world'] });
  assert.deepEqual(
    all.map(({ id }) => id),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  for (const { id } of all) assert.ok(isReserved(id) && !isEndpointIdentity(id) && !isCidrIdentity(id));
});

test('an address range keeps its number while policy names it, and nobody gets it afterwards', () => {
  const ranges = new CidrIdentities();
  const [ten, any] = ranges.follow(['10.0.0.0/8', '0.0.0.0/0', '10.0.0.0/8']);
  assert.deepEqual(ten, { id: 0x1000001, cidr: '10.0.0.0/8', labels: ['cidr:10.0.0.0/8'] });
  assert.equal(any?.id, 0x1000002);
  assert.deepEqual(
    ranges.follow(['0.0.0.0/0', '192.0.2.1']).map((range) => [range.id, range.cidr]),
    [
      [0x1000002, '0.0.0.0/0'],
      [0x1000003, '192.0.2.1/32'],
    ],
  );
  assert.equal(ranges.follow(['10.0.0.0/8'])[0]?.id, 0x1000004);
  assert.ok(ranges.list().every((range) => isCidrIdentity(range.id)));
});

test('address ranges of an earlier run keep their numbers', () => {
  const ranges = new CidrIdentities([{ cidr: '10.0.0.0/8', id: 0x1000007 }]);
  assert.deepEqual(
    ranges.follow(['192.0.2.0/24', '10.0.0.0/8']).map((range) => range.id),
    [0x1000007, 0x1000008],
  );
});
