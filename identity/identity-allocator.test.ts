import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { HostError } from '../base/index.ts';
import { IdentityAllocator, type IdentityRecords } from './identity-allocator.ts';

const HOUR = 3_600_000;

class FakeClock {
  ms = 1_000_000;
  now(): number {
    return this.ms;
  }
}

/** A disk that outlives the allocator; writes take a turn of the event loop and fail on demand. */
class FakeRecords implements IdentityRecords {
  readonly disk = new Map<string, unknown>();
  failing = false;
  /** Whether a failing write reaches the disk all the same. */
  torn = false;
  writes = 0;

  list(prefix: string): Promise<{ key: string; value: unknown }[]> {
    const all = [...this.disk].filter(([key]) => key.startsWith(prefix));
    return Promise.resolve(all.map(([key, value]) => ({ key, value: structuredClone(value) })));
  }

  put(key: string, value: unknown): Promise<void> {
    this.writes++;
    return this.#change(() => this.disk.set(key, structuredClone(value)));
  }

  delete(key: string): Promise<void> {
    return this.#change(() => this.disk.delete(key));
  }

  async #change(change: () => void): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.failing || this.torn) change();
    if (this.failing) throw new HostError('DISK', 'disk full');
  }
}

async function start(store = new FakeRecords(), clock = new FakeClock(), last = 65_535) {
  const allocator = new IdentityAllocator({ store, clock, last });
  await allocator.load();
  return { allocator, store, clock };
}

const WEB = ['container:id=web', 'weir:network=front'];
const DB = ['container:id=db', 'weir:network=back'];

test('numbers start at 256; the same label set has the same number, whoever asks and in whatever order', async () => {
  const { allocator, store } = await start();
  const [a, b, c] = await Promise.all([
    allocator.acquire(WEB, 'e1'),
    allocator.acquire(WEB.toReversed(), 'e2'),
    allocator.acquire(DB, 'e3'),
  ]);
  assert.deepEqual(
    [a, b, c],
    [
      { id: 256, labels: WEB },
      { id: 256, labels: WEB },
      { id: 257, labels: DB },
    ],
  );
  assert.equal(store.writes, 2);
});

test('an identity is on disk before anyone hears of it', async () => {
  const { allocator, store } = await start();
  const pending = allocator.acquire(WEB, 'e1');
  assert.deepEqual([allocator.get(256), allocator.list().length, store.disk.size], [undefined, 10, 0]);
  await pending;
  assert.deepEqual(store.disk.get('identities/256'), { labels: WEB });
  assert.deepEqual(allocator.get(256), { id: 256, labels: WEB });
});

test('an empty label set is one like any other', async () => {
  const { allocator } = await start();
  assert.deepEqual(await allocator.acquire([], 'e1'), { id: 256, labels: [] });
});

test('a reserved label set has its reserved number and is never stored', async () => {
  const { allocator, store } = await start();
  assert.equal((await allocator.acquire(['reserved:init'], 'e1')).id, 5);
  assert.equal(allocator.list().find((identity) => identity.id === 5)?.endpoints, 1);
  assert.equal(store.writes, 0);
});

test('numbers survive a restart, their holders do not', async () => {
  const { allocator, store, clock } = await start();
  await allocator.acquire(WEB, 'e1');
  await allocator.acquire(DB, 'e2');
  const { allocator: again } = await start(store, clock);
  assert.deepEqual(
    again.list().filter((identity) => identity.id > 255),
    [
      { id: 256, labels: WEB, endpoints: 0 },
      { id: 257, labels: DB, endpoints: 0 },
    ],
  );
  assert.equal((await again.acquire(DB, 'e2')).id, 257);
  assert.equal((await again.acquire(['container:id=new'], 'e3')).id, 258);
});

test('a number rests an hour after its last holder, and its label set gets it back meanwhile', async () => {
  const { allocator, clock, store } = await start();
  await allocator.acquire(WEB, 'e1');
  await allocator.acquire(WEB, 'e2');
  await allocator.release('e1');
  clock.ms += 2 * HOUR;
  assert.deepEqual(await allocator.collect(), []);
  await allocator.release('e2');
  clock.ms += HOUR - 1;
  assert.deepEqual(await allocator.collect(), []);
  assert.equal((await allocator.acquire(WEB, 'e3')).id, 256);
  await allocator.release('e3');
  clock.ms += HOUR;
  assert.deepEqual(await allocator.collect(), [256]);
  assert.equal(store.disk.size, 0);
  assert.equal(allocator.get(256), undefined);
});

test('a holder has one identity: acquiring another lets go of the first', async () => {
  const { allocator, clock } = await start();
  await allocator.acquire(WEB, 'e1');
  await allocator.acquire(DB, 'e1');
  clock.ms += HOUR;
  assert.deepEqual(await allocator.collect(), [256]);
  assert.equal(allocator.get(257)?.id, 257);
});

test('the latest call for a holder counts, however long its write takes', async () => {
  const { allocator } = await start();
  await allocator.acquire(DB, 'e0');
  const slow = allocator.acquire(WEB, 'e1');
  await allocator.acquire(DB, 'e1');
  await slow;
  const counts = new Map(allocator.list().map((identity) => [identity.id, identity.endpoints]));
  assert.deepEqual([counts.get(256), counts.get(257)], [2, 0]);
});

test('a release while the write is under way leaves nothing held; releasing twice is harmless', async () => {
  const { allocator } = await start();
  const pending = allocator.acquire(WEB, 'e1');
  await allocator.release('e1');
  await pending;
  await allocator.release('e1');
  assert.equal(allocator.list().find((identity) => identity.id === 256)?.endpoints, 0);
});

test('a failed write changes nothing for the holder and keeps the number for its label set', async () => {
  for (const torn of [false, true]) {
    const { allocator, store } = await start();
    await allocator.acquire(DB, 'e1');
    Object.assign(store, { failing: true, torn });
    await assert.rejects(allocator.acquire(WEB, 'e1'), /disk full/);
    assert.equal(allocator.get(257), undefined);
    assert.equal(allocator.list().find((identity) => identity.id === 256)?.endpoints, 1);
    store.failing = false;
    assert.equal((await allocator.acquire(['container:id=other'], 'e2')).id, 258);
    assert.equal((await allocator.acquire(WEB, 'e1')).id, 257);
  }
});

test('a label set that comes back during its deletion gets another number', async () => {
  const { allocator, clock, store } = await start();
  await allocator.acquire(WEB, 'e1');
  await allocator.release('e1');
  clock.ms += HOUR;
  const sweep = allocator.collect();
  const again = allocator.acquire(WEB, 'e2');
  assert.deepEqual(await sweep, [256]);
  assert.equal((await again).id, 257);
  assert.deepEqual([...store.disk.keys()], ['identities/257']);
});

test('a deletion that failed is tried again, and the number stays taken until then', async () => {
  const { allocator, clock, store } = await start(undefined, undefined, 257);
  await allocator.acquire(WEB, 'e1');
  await allocator.release('e1');
  clock.ms += HOUR;
  store.failing = true;
  await assert.rejects(allocator.collect(), /disk full/);
  store.failing = false;
  assert.equal((await allocator.acquire(WEB, 'e2')).id, 257);
  assert.deepEqual(await allocator.collect(), [256]);
  assert.equal((await allocator.acquire(DB, 'e3')).id, 256);
});

test('numbers that rested are taken back when none is free; before that the request is refused', async () => {
  const { allocator, clock } = await start(undefined, undefined, 257);
  await allocator.acquire(WEB, 'e1');
  await allocator.acquire(DB, 'e2');
  await allocator.release('e1');
  const third = ['container:id=third'];
  await assert.rejects(allocator.acquire(third, 'e3'), { code: 'IDENTITY_EXHAUSTED' });
  clock.ms += HOUR;
  assert.equal((await allocator.acquire(third, 'e3')).id, 256);
});

test("a number whose deletion failed halfway is nobody's, and stays taken", async () => {
  const { allocator, store, clock } = await start();
  const { id } = await allocator.acquire(WEB, 'e1');
  await allocator.release('e1');
  clock.ms += HOUR;
  Object.assign(store, { failing: true, torn: true });
  await assert.rejects(allocator.collect());
  assert.equal(allocator.get(id), undefined);
  Object.assign(store, { failing: false });
  assert.notEqual((await allocator.acquire(WEB, 'e1')).id, id);
});

for (const [key, value] of [
  ['identities/12', { labels: [] }],
  ['identities/x', { labels: [] }],
  ['identities/300', { labels: [1] }],
  ['identities/300', null],
] as const) {
  test(`a stored ${key} = ${JSON.stringify(value)} is reported, not guessed at`, async () => {
    const store = new FakeRecords();
    store.disk.set(key, value);
    await assert.rejects(start(store), (error) => error instanceof HostError && error.message.includes(key));
  });
}

test('one number is never two label sets within an hour, over any sequence of calls, failures and restarts', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('acquire'), labels: fc.nat(5), holder: fc.nat(3), wait: fc.boolean() }),
    fc.record({ do: fc.constant('release'), holder: fc.nat(3) }),
    fc.record({ do: fc.constantFrom('collect', 'restart', 'fail', 'tear', 'heal') }),
    fc.record({ do: fc.constant('sleep'), ms: fc.constantFrom(1, HOUR / 2, HOUR) }),
  );
  type Step = { do: string; labels?: number; holder?: number; wait?: boolean; ms?: number };

  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps: Step[]) => {
      const started = await start(undefined, undefined, 260);
      const { store, clock } = started;
      let { allocator } = started;
      /** What each number meant last and when somebody was last told so. */
      const meant = new Map<number, { labels: string; told: number }>();
      const holds = new Map<string, number>();
      let open: Promise<unknown>[] = [];
      const told = (identity: { id: number; labels: string[] }) => {
        const before = meant.get(identity.id);
        const labels = identity.labels.join();
        if (before !== undefined && before.labels !== labels) {
          assert.ok(clock.ms - before.told >= HOUR, `${identity.id} was ${before.labels}, now ${labels}`);
          assert.ok(![...holds.values()].includes(identity.id), `${identity.id} is still held`);
        }
        meant.set(identity.id, { labels, told: clock.ms });
      };
      const settle = async () => {
        await Promise.allSettled(open);
        open = [];
        for (const id of holds.values()) {
          const now = meant.get(id);
          if (now !== undefined) now.told = clock.ms;
        }
      };
      const run: Record<string, (at: Step) => Promise<void> | void> = {
        acquire: async (at) => {
          const holder = `e${at.holder}`;
          const call = allocator.acquire([`container:id=${at.labels}`], holder).then(told, () => undefined);
          open.push(call);
          if (!at.wait) return;
          await settle();
          const held = allocator.list().filter((identity) => identity.endpoints > 0);
          const mine = held.find((identity) => identity.labels[0] === `container:id=${at.labels}`);
          if (mine !== undefined) holds.set(holder, mine.id);
        },
        release: async (at) => {
          await settle();
          holds.delete(`e${at.holder}`);
          await allocator.release(`e${at.holder}`);
        },
        collect: () => void open.push(allocator.collect().catch(() => undefined)),
        restart: async () => {
          await settle();
          holds.clear();
          ({ allocator } = await start(store, clock, 260));
        },
        fail: () => void Object.assign(store, { failing: true, torn: false }),
        tear: () => void Object.assign(store, { failing: true, torn: true }),
        heal: () => void Object.assign(store, { failing: false }),
        sleep: async (at) => {
          await settle();
          clock.ms += at.ms ?? 0;
        },
      };
      for (const at of steps) await run[at.do]?.(at);
      await settle();
      const numbers = [...store.disk.keys()];
      assert.equal(new Set(numbers).size, numbers.length);
      for (const identity of allocator.list()) {
        if (identity.id > 255) {
          assert.deepEqual(store.disk.get(`identities/${identity.id}`), { labels: identity.labels });
        }
      }
    }),
    { numRuns: 300 },
  );
});
