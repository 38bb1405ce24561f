import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { UserError } from '../base/index.ts';
import { bench, exact, gateway, next, pool, refused } from './bench.test-support.ts';

const addresses: { name: string; address: string; code: string; message: RegExp }[] = [
  { name: 'held', address: '10.77.0.5', code: 'ADDRESS_IN_USE', message: /10\.77\.0\.5 is in use/ },
  {
    name: 'outside',
    address: '10.78.0.5',
    code: 'ADDRESS_OUTSIDE',
    message: /10\.78\.0\.5 is not inside the pool 10\.77\.0\.0\/24/,
  },
  { name: "the network's", address: '10.77.0.0', code: 'ADDRESS_RESERVED', message: /10\.77\.0\.0/ },
  { name: "the broadcast's", address: '10.77.0.255', code: 'ADDRESS_RESERVED', message: /10\.77\.0\.255/ },
  { name: 'of the other family', address: 'fd00::5', code: 'ADDRESS_OUTSIDE', message: /fd00::5/ },
  { name: 'no address', address: '10.77.5', code: 'BAD_ADDRESS', message: /10\.77\.5/ },
];
for (const { name, address, code, message } of addresses) {
  test(`an address is refused that is ${name}`, async () => {
    await using at = await bench();
    const { id } = await pool(at.ipam, '10.77.0.0/24');
    await exact(at.ipam, id, '10.77.0.5');
    await assert.rejects(exact(at.ipam, id, address), refused(code, message));
    assert.equal(at.ipam.addresses().length, 1);
  });
}

test("the host's own address is given to nobody", async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.210.0.0/24');
  assert.equal(at.ipam.nodeAddress(4), '10.210.0.1');
  await assert.rejects(exact(at.ipam, id, '10.210.0.1'), refused('ADDRESS_RESERVED', /own/));
  await at.ipam.releaseAddress(id, '10.210.0.1');
});

test('a full pool says its name, its size and the way to more', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam, '10.77.0.0/29');
  for (let n = 0; n < 6; n++) {
    assert.equal(at.ipam.list().find((row) => row.id === id)?.isFull, false);
    await next(at.ipam, id);
  }
  assert.equal(at.ipam.list().find((row) => row.id === id)?.isFull, true);
  await assert.rejects(next(at.ipam, id), (error: unknown) => {
    refused('POOL_EXHAUSTED', /^pool 10\.77\.0\.0\/29 is full: all of its 6 addresses are in use$/)(error);
    assert.match((error as UserError).hint!, /larger --subnet/);
    return true;
  });
  const ranged = await pool(at.ipam, '10.78.0.0/16', '10.78.8.0/31');
  await next(at.ipam, ranged.id);
  await next(at.ipam, ranged.id);
  await assert.rejects(
    next(at.ipam, ranged.id),
    refused('POOL_EXHAUSTED', /^IP range 10\.78\.8\.0\/31 of pool 10\.78\.0\.0\/16 is full: all of its 2/),
  );
});

test('freed addresses come back last, oldest first, and at once when nothing else is free', async () => {
  await using at = await bench({ nodePrefix: '10.210.0.0/29' });
  const { id } = await pool(at.ipam);
  const [a, b, c] = [await next(at.ipam, id), await next(at.ipam, id), await next(at.ipam, id)].map((text) =>
    text.replace('/32', ''),
  );
  await at.ipam.releaseAddress(id, b!);
  await at.ipam.releaseAddress(id, a!);
  await at.ipam.releaseAddress(id, c!);
  const order = [];
  for (let n = 0; n < 5; n++) order.push(await next(at.ipam, id));
  assert.deepEqual(order, [
    '10.210.0.5/32',
    '10.210.0.6/32',
    '10.210.0.3/32',
    '10.210.0.2/32',
    '10.210.0.4/32',
  ]);
});

test('the rest outlives a restart; its record does not outlive the rest', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam);
  await next(at.ipam, id);
  await next(at.ipam, id);
  await at.ipam.releaseAddress(id, '10.210.0.2');
  assert.equal(at.ipam.list()[0]!.resting, 1);
  await at.restart();
  assert.equal(await next(at.ipam, id), '10.210.0.4/32');
  at.clock.time += 30_000;
  await next(at.ipam, id);
  assert.deepEqual(
    (await at.store.list('ipam/addresses/')).map(({ key }) => key.slice(15)),
    ['10.210.0.3', '10.210.0.4', '10.210.0.5'],
  );
  await at.restart();
  assert.equal(await next(at.ipam, id), '10.210.0.2/32');
});

test('an address that is taken again keeps its record while others clear the rests', async () => {
  await using at = await bench();
  const { id } = await pool(at.ipam);
  await next(at.ipam, id);
  await at.ipam.releaseAddress(id, '10.210.0.2');
  at.clock.time += 30_000;
  const again = exact(at.ipam, id, '10.210.0.2');
  for (let turn = 0; turn < 5; turn++) await Promise.resolve(); // its write is under way, not done
  await Promise.all([again, next(at.ipam, id), next(at.ipam, id)]);
  await at.restart();
  assert.equal(at.ipam.addresses().length, 3);
});

test('releases are harmless when they are repeated, foreign or unknown', async () => {
  await using at = await bench();
  const [one, two] = [await pool(at.ipam), await pool(at.ipam, '10.77.0.0/24')];
  await next(at.ipam, one.id);
  await gateway(at.ipam, two.id);
  const held = at.ipam.addresses();
  await at.ipam.releaseAddress(two.id, '10.210.0.2');
  await at.ipam.releaseAddress('no/such/pool', '10.210.0.2');
  await at.ipam.releaseAddress(one.id, '192.0.2.1');
  await at.ipam.releaseAddress(one.id, 'fd00::1');
  await at.ipam.releasePool('no/such/pool');
  assert.deepEqual(at.ipam.addresses(), held);
  await Promise.all([
    at.ipam.releaseAddress(one.id, '10.210.0.2'),
    at.ipam.releaseAddress(one.id, '10.210.0.2'),
  ]);
  await at.ipam.releasePool(two.id);
  await at.ipam.releasePool(two.id);
  assert.deepEqual(at.ipam.addresses(), []);
  assert.deepEqual((await at.store.list('ipam/pools/')).length, 0);
});
