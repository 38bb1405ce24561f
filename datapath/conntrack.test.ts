import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import test from 'node:test';
import { CtFlag, ctEntrySize, decodeCtEntry } from '../bpf/index.ts';
import type { CtEntry, CtKey } from '../bpf/index.ts';
import { Conntrack, tickNow } from './conntrack.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';

const LIVES = tickNow() + 1000;
const OVER = tickNow() - 1;

function key(low: string, high: string, change: Partial<CtKey> = {}): CtKey {
  return { low, high, lowPort: 40000, highPort: 443, protocol: 6, highAsks: 0, message: 0, ...change };
}

function entry(change: Partial<CtEntry> = {}): CtEntry {
  return { ...decodeCtEntry(Buffer.alloc(ctEntrySize)), expires: LIVES, ...change };
}

function nat(fake: FakeMaps, address: string, port: number, expires = LIVES): void {
  const key = { remote: '203.0.113.1', local: '192.0.2.7', remotePort: 443, localPort: port, protocol: 6 };
  fake.maps.nat.set(key, { address, port, expires });
}

function left(fake: FakeMaps): string[] {
  const ct = [...fake.maps.ct.entries()].map(([{ low, high }]) => `${low} ${high}`);
  const nat = [...fake.maps.nat.entries()].map(([, { address, port }]) => `${address}:${port}`);
  return [...ct, ...nat].toSorted();
}

test('a connection reads from the one who asked, whichever end comes first in the key', async () => {
  const { maps } = fakeMaps();
  const seconds = 60;
  const expires = tickNow() + Math.round((seconds * 1e9) / 2 ** 30);
  const sides = { sourceIdentity: 300, destinationIdentity: 2, generation: 4, expires };
  maps.ct.set(key('10.210.0.9', '203.0.113.1'), entry({ ...sides, flags: CtFlag.CT_REPLIED }));
  const flags = CtFlag.CT_HIGH_ASKED | CtFlag.CT_FIN_ASKER;
  maps.ct.set(key('10.210.0.8', '10.210.0.9', { protocol: 17 }), entry({ ...sides, flags }));
  maps.ct.set(key('10.210.0.7', '10.210.0.9'), entry({ expires: OVER }));
  const [forth, back, ...more] = await new Conntrack(maps).list();
  assert.deepEqual(more, [], 'what is over is not listed');
  assert.deepEqual(forth, {
    source: '10.210.0.9',
    sourcePort: 40000,
    destination: '203.0.113.1',
    destinationPort: 443,
    protocol: 6,
    sourceIdentity: 300,
    destinationIdentity: 2,
    generation: 4,
    expiresSeconds: forth?.expiresSeconds,
    replied: true,
    closing: false,
    published: false,
    message: 0,
  });
  assert.ok(Math.abs((forth?.expiresSeconds ?? 0) - seconds) <= 2);
  const { source, sourcePort, destination, destinationPort, replied, closing } = back!;
  assert.deepEqual(
    { source, sourcePort, destination, destinationPort, replied, closing },
    {
      source: '10.210.0.9',
      sourcePort: 443,
      destination: '10.210.0.8',
      destinationPort: 40000,
      replied: false,
      closing: true,
    },
  );
});

test('a sweep takes out what is over and everything of addresses that have gone', async () => {
  const fake = fakeMaps();
  const { maps } = fake;
  maps.ct.set(key('10.210.0.9', '203.0.113.1'), entry());
  maps.ct.set(key('10.210.0.8', '10.210.0.9'), entry());
  maps.ct.set(key('10.210.0.8', '203.0.113.1'), entry());
  maps.ct.set(key('10.210.0.8', '203.0.113.2'), entry({ expires: OVER }));
  nat(fake, '10.210.0.9', 61001);
  nat(fake, '10.210.0.8', 61002);
  nat(fake, '10.210.0.8', 61003, OVER);
  await new Conntrack(maps).sweep((address) => address === '10.210.0.9');
  assert.deepEqual(left(fake), ['10.210.0.8 203.0.113.1', '10.210.0.8:61002']);
});

function fill(fake: FakeMaps, count: number): void {
  for (let port = 0; port < count; port++)
    fake.maps.ct.set(key('10.210.0.9', '203.0.113.1', { lowPort: port }), entry({ expires: OVER }));
}

test('a long sweep lets others have their turn', async () => {
  const fake = fakeMaps();
  fill(fake, 5000);
  let turns = 0;
  const others = setInterval(() => (turns += 1), 0);
  await new Conntrack(fake.maps).sweep();
  clearInterval(others);
  assert.ok(turns >= 2, `${turns} turns`);
  assert.deepEqual(left(fake), []);
});

test('one that is closed touches no map any more', async () => {
  const fake = fakeMaps();
  fill(fake, 5000);
  const conntrack = new Conntrack(fake.maps);
  const sweep = conntrack.sweep();
  await setImmediate();
  conntrack.close();
  fake.raw('weir_ct').onWrite = () => assert.fail('written after close');
  await sweep;
  assert.ok(left(fake).length > 0);
});
