import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, exact, gateway, next, pool, pool6, DUAL, refused } from './bench.test-support.ts';

const foreign = refused('POOL_FOREIGN', /has another driver/);
/** Weir's driver has made a network with this subnet and no other. */
const isOfWeir = (subnet: string): boolean => subnet === '10.77.0.0/24';

test('the flat pool gives addresses to networks that weir’s driver has made, and to no others', async () => {
  await using at = await bench({ isOfWeir, ...DUAL });
  const [other, other6] = [await pool(at.ipam), await pool6(at.ipam)];
  at.ipam.claim(['10.77.0.0/24']);
  await assert.rejects(next(at.ipam, other.id), foreign);
  await assert.rejects(next(at.ipam, other6.id), foreign);
  at.ipam.claim(['10.210.0.0/24', 'fd00:210::/64']);
  const late = await pool(at.ipam);
  assert.equal(await next(at.ipam, other.id), '10.210.0.2/32');
  assert.equal(await next(at.ipam, other6.id), 'fd00:210::2/128');
  await assert.rejects(next(at.ipam, late.id), foreign);
});

test('what Docker takes before the network is made is given: gateways, and addresses by name', async () => {
  await using at = await bench({ isOfWeir });
  const { id } = await pool(at.ipam, '10.210.0.0/24');
  assert.equal(await gateway(at.ipam, id), '10.210.0.1/32');
  assert.equal(await exact(at.ipam, id, '10.210.0.9'), '10.210.0.9/32');
});

test('networks from before a restart, and those of a swarm’s manager, are not asked for their driver', async () => {
  await using at = await bench({ isOfWeir });
  const { id } = await pool(at.ipam);
  await at.restart();
  assert.equal(await next(at.ipam, id), '10.210.0.2/32');
  const { id: global } = await pool(at.ipam, '', '', 'global');
  assert.equal(await next(at.ipam, global), '10.210.0.3/32');
});

test('a subnet of its own serves any driver: weir’s by host prefixes, the others on one link', async () => {
  await using at = await bench({ isOfWeir });
  const [ours, theirs] = [await pool(at.ipam, '10.77.0.0/24'), await pool(at.ipam, '10.78.0.0/24')];
  assert.equal(await gateway(at.ipam, theirs.id), '10.78.0.1/24');
  assert.deepEqual(
    [await next(at.ipam, ours.id), await next(at.ipam, theirs.id)],
    ['10.77.0.1/32', '10.78.0.2/24'],
  );
});
