/** The promises of `Store` as tests; every engine runs them. Support of tests: never imported by a floor. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Store, WatchEvent } from './store.ts';

/** One store of the engine under test, empty when it is made. */
export interface StoreUnderTest {
  store: Store;
  /** Ends this client as its host's death would, and connects again. */
  restart(): Promise<Store>;
  dispose(): Promise<void>;
}

type Scene = (store: Store, subject: StoreUnderTest) => Promise<void>;

export function storeConformance(engine: string, open: () => Promise<StoreUnderTest>): void {
  const scene = (name: string, run: Scene): void => {
    test(`${engine}: ${name}`, async () => {
      const subject = await open();
      try {
        await run(subject.store, subject);
      } finally {
        await subject.dispose();
      }
    });
  };
  for (const [name, run] of Object.entries({
    ...reading,
    ...conditions,
    ...batches,
    ...watching,
    ...leases,
    ...random,
  }))
    scene(name, run);
}

const reading: Record<string, Scene> = {
  'what was put is got back as a copy': async (store) => {
    const value = { list: [1, 'two', null], text: 'ü\n"' };
    const revision = await store.put('a/b', value);
    value.list.push(4);
    const entry = await store.get('a/b');
    assert.ok(entry);
    assert.deepEqual(entry, { key: 'a/b', value: { list: [1, 'two', null], text: 'ü\n"' }, revision });
    Object.assign(entry.value as object, { text: 'changed' });
    assert.equal(((await store.get('a/b'))!.value as { text: string }).text, 'ü\n"');
  },
  'keys of JavaScript objects are keys like others': async (store) => {
    for (const key of ['__proto__', 'constructor', 'toString']) assert.equal(await store.get(key), undefined);
    await store.put('__proto__', { x: 1 });
    assert.deepEqual((await store.get('__proto__'))?.value, { x: 1 });
  },
  'a list is sorted by key and holds the prefix only': async (store) => {
    for (const key of ['p/b', 'q/a', 'p/a', 'p', 'p/a/c']) await store.put(key, key);
    assert.deepEqual(
      (await store.list('p/')).map(({ key }) => key),
      ['p/a', 'p/a/c', 'p/b'],
    );
    assert.equal((await store.list('')).length, 5);
  },
  'a delete says whether there was something': async (store) => {
    await store.put('a', 1);
    assert.equal(await store.delete('a'), true);
    assert.equal(await store.delete('a'), false);
    assert.equal(await store.get('a'), undefined);
  },
  'all of it is there after a restart, revisions too': async (store, subject) => {
    await store.put('a', 1);
    const revision = await store.put('b', [2]);
    await store.delete('a');
    const again = await subject.restart();
    assert.deepEqual(await again.list(''), [{ key: 'b', value: [2], revision }]);
    assert.ok((await again.put('c', 3)) > revision);
  },
};

const conditions: Record<string, Scene> = {
  'of many creators of one key one wins': async (store) => {
    const won = await Promise.all(Array.from({ length: 20 }, (_, n) => store.create('key', n)));
    assert.equal(won.filter(Boolean).length, 1);
    assert.equal((await store.get('key'))?.value, won.indexOf(true));
  },
  'compare-and-swap needs the last revision': async (store) => {
    assert.equal(await store.compareAndSwap('a', 'x', 7), false);
    assert.equal(await store.compareAndSwap('a', 'x', 0), true);
    const { revision } = (await store.get('a'))!;
    assert.equal(await store.compareAndSwap('a', 'y', revision), true);
    assert.equal(await store.compareAndSwap('a', 'z', revision), false);
    assert.equal((await store.get('a'))?.value, 'y');
  },
  'counters under compare-and-swap lose nothing': async (store) => {
    await store.put('n', 0);
    const add = async (): Promise<void> => {
      for (;;) {
        const { value, revision } = (await store.get('n'))!;
        if (await store.compareAndSwap('n', Number(value) + 1, revision)) return;
      }
    };
    await Promise.all(Array.from({ length: 25 }, add));
    assert.equal((await store.get('n'))?.value, 25);
  },
};

const batches: Record<string, Scene> = {
  'apply is seen whole, under one revision': async (store) => {
    await store.put('old', 1);
    await store.apply([
      { put: 'a', value: 1 },
      { put: 'b', value: 2 },
      { delete: 'old' },
      { delete: 'never' },
    ]);
    const entries = await store.list('');
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['a', 'b'],
    );
    assert.equal(entries[0]!.revision, entries[1]!.revision);
  },
  'a bad operation refuses the whole batch': async (store) => {
    await assert.rejects(
      store.apply([
        { put: 'a', value: 1 },
        { put: 'b', value: undefined },
      ]),
    );
    await assert.rejects(store.apply([{ put: 'a', value: 1 }, { delete: 'a' }]));
    await assert.rejects(store.put('', 1));
    assert.deepEqual(await store.list(''), []);
  },
  'writes of one turn keep their order': async (store) => {
    await Promise.all([store.put('a', 1), store.put('a', 2), store.delete('a'), store.put('a', 3)]);
    assert.equal((await store.get('a'))?.value, 3);
  },
};

/** Waits until `enough`; engines deliver in their own time. */
async function heard(events: WatchEvent[], enough: () => boolean): Promise<void> {
  for (let tries = 0; !enough(); tries++) {
    if (tries > 500) assert.fail(`only heard ${JSON.stringify(events)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const textOf = (event: WatchEvent): string => {
  if (event.type === 'put') return `put ${event.entry.key}`;
  return event.type === 'delete'
    ? `delete ${event.key}`
    : `resync ${event.entries.map(({ key }) => key).join()}`;
};

const watching: Record<string, Scene> = {
  'a watch begins with everything, then hears its prefix in order': async (store) => {
    const events: WatchEvent[] = [];
    await store.put('p/a', 1);
    const watch = store.watch('p/', (event) => events.push(event));
    await heard(events, () => events.length === 1);
    await store.put('q/a', 1);
    await store.apply([{ put: 'p/b', value: 2 }, { delete: 'p/a' }]);
    await heard(events, () => events.length === 3);
    watch.close();
    await store.put('p/c', 1);
    assert.deepEqual(events.map(textOf), ['resync p/a', 'put p/b', 'delete p/a']);
  },
  'a watch resumes after a revision': async (store) => {
    const events: WatchEvent[] = [];
    const revision = await store.put('p/a', 1);
    await store.put('p/b', 1);
    await store.delete('p/a');
    const watch = store.watch('p/', (event) => events.push(event), revision);
    await heard(events, () => events.length === 2);
    watch.close();
    assert.deepEqual(events.map(textOf), ['put p/b', 'delete p/a']);
  },
  'a watcher that throws harms nobody': async (store) => {
    const events: WatchEvent[] = [];
    const bad = store.watch('', () => {
      throw new Error('watcher');
    });
    const good = store.watch('', (event) => events.push(event));
    await store.put('a', 1);
    await heard(events, () =>
      events.some((event) => event.type === 'put' || (event.type === 'resync' && event.entries.length === 1)),
    );
    bad.close();
    good.close();
  },
};

const leases: Record<string, Scene> = {
  'keys of a lease go with it, and only those': async (store) => {
    const [one, two] = [await store.lease(60), await store.lease(60)];
    await store.put('one', 1, { lease: one });
    await store.put('two', 2, { lease: two });
    await store.put('kept', 1, { lease: one });
    await store.put('kept', 3);
    await one.revoke();
    assert.deepEqual(
      (await store.list('')).map(({ key }) => key),
      ['kept', 'two'],
    );
    await assert.rejects(store.put('late', 1, { lease: one }));
  },
};

type Step = { act: 'put' | 'create' | 'delete' | 'swap'; key: string; value: number } | { act: 'restart' };

const random: Record<string, Scene> = {
  'any sequence ends as a plain map would': async (_store, subject) => {
    const key = fc.constantFrom('a', 'b', 'c/d', 'c/e');
    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 9,
        arbitrary: fc.record({
          act: fc.constantFrom('put', 'create', 'delete', 'swap'),
          key,
          value: fc.nat(99),
        }),
      },
      { weight: 1, arbitrary: fc.record({ act: fc.constant('restart' as const) }) },
    );
    let store = subject.store;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30, size: 'max' }), async (steps) => {
        await store.apply((await store.list('')).map((entry) => ({ delete: entry.key })));
        const model = new Map<string, number>();
        for (const at of steps) {
          if (at.act === 'restart') store = await subject.restart();
          else await actBoth(store, model, at);
        }
        const entries = await store.list('');
        assert.deepEqual(
          entries.map((entry) => [entry.key, entry.value]),
          [...model].toSorted(([a], [b]) => (a < b ? -1 : 1)),
        );
      }),
      { numRuns: 40 },
    );
  },
};

async function actBoth(
  store: Store,
  model: Map<string, number>,
  step: Exclude<Step, { act: 'restart' }>,
): Promise<void> {
  const { act, key, value } = step;
  const before = await store.get(key);
  assert.equal(before?.value, model.get(key));
  if (act === 'delete') {
    assert.equal(await store.delete(key), model.delete(key));
    return;
  }
  if (act === 'create') {
    assert.equal(await store.create(key, value), !model.has(key));
    if (model.has(key)) return;
  }
  if (act === 'put') await store.put(key, value);
  if (act === 'swap') assert.equal(await store.compareAndSwap(key, value, before?.revision ?? 0), true);
  model.set(key, value);
}
