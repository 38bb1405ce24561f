/** A manager of a swarm that begins anew asks by name for all that it has given before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ipam } from './ipam.ts';
import { bench, exact } from './bench.test-support.ts';

const SUBNET = '10.88.0.0/24';

async function globalPool(ipam: Ipam, subnet: string): Promise<string> {
  return (await ipam.requestPool({ space: 'global', subnet, range: '', ipv6: false })).id;
}

for (const { name, subnet, first } of [
  { name: 'a subnet of its own', subnet: SUBNET, first: '10.88.0.1' },
  { name: 'the flat pool', subnet: '10.210.0.0/24', first: '10.210.0.2' },
]) {
  test(`pools and addresses of ${name} are granted again to a manager that begins anew, each once`, async () => {
    await using at = await bench();
    await exact(at.ipam, await globalPool(at.ipam, subnet), first);
    at.ipam.expectReplay();
    const again = await globalPool(at.ipam, subnet);
    assert.equal(await exact(at.ipam, again, first), `${first}/32`);
    assert.deepEqual(at.ipam.addresses(), [{ address: first, poolId: again }]);
    await assert.rejects(exact(at.ipam, again, first), { code: 'ADDRESS_IN_USE' });
    await at.ipam.releaseAddress(again, first);
    assert.deepEqual(at.ipam.addresses(), []);
  });
}

test('without a new manager a subnet is one network’s, and an address one task’s', async () => {
  await using at = await bench();
  const id = await globalPool(at.ipam, SUBNET);
  await exact(at.ipam, id, '10.88.0.5');
  await assert.rejects(globalPool(at.ipam, SUBNET), { code: 'POOL_OVERLAP' });
  await assert.rejects(exact(at.ipam, id, '10.88.0.5'), { code: 'ADDRESS_IN_USE' });
  at.ipam.expectReplay();
  await globalPool(at.ipam, SUBNET);
  await assert.rejects(globalPool(at.ipam, SUBNET), { code: 'POOL_OVERLAP' });
});

test('what a manager has not asked for again is given to nobody else', async () => {
  await using at = await bench();
  const id = await globalPool(at.ipam, SUBNET);
  await exact(at.ipam, id, '10.88.0.1');
  at.ipam.expectReplay();
  assert.equal(await globalPool(at.ipam, SUBNET), id);
  const granted = await at.ipam.requestAddress({ poolId: id, address: '', isGateway: false });
  assert.equal(granted, '10.88.0.2/32');
});

test('the local space knows no replay: an address there belongs to a container', async () => {
  await using at = await bench();
  const { id } = await at.ipam.requestPool({ space: 'local', subnet: SUBNET, range: '', ipv6: false });
  await exact(at.ipam, id, '10.88.0.5');
  at.ipam.expectReplay();
  await assert.rejects(exact(at.ipam, id, '10.88.0.5'), { code: 'ADDRESS_IN_USE' });
  const again = at.ipam.requestPool({ space: 'local', subnet: SUBNET, range: '', ipv6: false });
  await assert.rejects(again, { code: 'POOL_OVERLAP' });
});

test('a subnet that swarm has in both spaces is one row', async () => {
  await using at = await bench();
  await globalPool(at.ipam, SUBNET);
  await at.ipam.requestPool({ space: 'local', subnet: SUBNET, range: '', ipv6: false });
  assert.equal(at.ipam.list().filter((row) => row.cidr === SUBNET).length, 1);
});
