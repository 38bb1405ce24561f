import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HostError, silentLog } from '../base/index.ts';
import { openEmbeddedStore } from './embedded-store.ts';
import { storeConformance } from './store-conformance.ts';
import type { Store, WatchEvent } from './store.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-store-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

const newFile = (): string => path.join(root, String(++made), 'store.json');
const open = (file: string): Promise<Store> => openEmbeddedStore({ file, log: silentLog });

storeConformance('embedded', async () => {
  const file = newFile();
  const subject = {
    store: await open(file),
    async restart(): Promise<Store> {
      await subject.store.close();
      subject.store = await open(file);
      return subject.store;
    },
    dispose: (): Promise<void> => subject.store.close(),
  };
  return subject;
});

/** A closed store with keys a and b, the second only in the journal's last line. */
async function written(): Promise<string> {
  const file = newFile();
  const store = await open(file);
  await store.put('a', { n: 1 });
  await store.put('b', { n: 2 });
  await store.close();
  return file;
}

async function keysOf(file: string): Promise<string[]> {
  const store = await open(file);
  const entries = await store.list('');
  await store.close();
  return entries.map(({ key }) => key);
}

test('a torn last line, which nobody was promised, is cut off', async () => {
  for (const tail of ['00000000 [[3,[["c"', 'deadbeef [[3,[["c",1]]]]\n', '\0\0\0\0']) {
    const file = await written();
    appendFileSync(`${file}.journal`, tail);
    assert.deepEqual(await keysOf(file), ['a', 'b']);
    assert.deepEqual(await keysOf(file), ['a', 'b']);
  }
});

const damages: { name: string; damage: (file: string) => void; code: string }[] = [
  { name: 'an empty store file', damage: (file) => truncateSync(file, 0), code: 'STORE_CORRUPT' },
  { name: 'half a store file', damage: (file) => truncateSync(file, 30), code: 'STORE_CORRUPT' },
  { name: 'some other JSON', damage: (file) => writeFileSync(file, '{"a":1}'), code: 'STORE_CORRUPT' },
  { name: 'JSON null', damage: (file) => writeFileSync(file, 'null'), code: 'STORE_CORRUPT' },
  {
    name: 'a damaged entry',
    damage: (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('\n\n]', '\n["a"]\n]')),
    code: 'STORE_CORRUPT',
  },
  {
    name: 'a later format',
    damage: (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"version":1', '"version":2')),
    code: 'STORE_VERSION',
  },
  { name: 'a missing journal', damage: (file) => rmSync(`${file}.journal`), code: 'STORE_CORRUPT' },
  { name: 'a missing store file', damage: (file) => rmSync(file), code: 'STORE_CORRUPT' },
  {
    name: 'damage in the middle of the journal',
    damage: (file) => flipByte(`${file}.journal`, 15),
    code: 'STORE_CORRUPT',
  },
  {
    name: 'a lost first line',
    damage: (file) =>
      writeFileSync(`${file}.journal`, readFileSync(`${file}.journal`, 'utf8').replace(/^.*\n/, '')),
    code: 'STORE_CORRUPT',
  },
];

function flipByte(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at]! ^= 1;
  writeFileSync(file, bytes);
}

for (const { name, damage, code } of damages) {
  test(`${name} is an error that says what to do, never an empty store`, async () => {
    const file = await written();
    damage(file);
    const before = readdirSync(path.dirname(file)).map((at) =>
      readFileSync(path.join(path.dirname(file), at), 'latin1'),
    );
    await assert.rejects(open(file), (error: unknown) => {
      assert.ok(error instanceof HostError);
      assert.equal(error.code, code);
      assert.ok(error.message.includes(file) && error.hint !== undefined);
      return true;
    });
    const after = readdirSync(path.dirname(file)).map((at) =>
      readFileSync(path.join(path.dirname(file), at), 'latin1'),
    );
    assert.deepEqual(after, before);
  });
}

test('a journal that outgrew the store is folded into it; what was not emptied then is skipped', async () => {
  const file = newFile();
  const store = await open(file);
  const big = 'x'.repeat(100_000);
  for (let n = 0; n < 41; n++) await store.put(`key${n}`, n);
  cpSync(`${file}.journal`, `${file}.old`);
  for (let n = 0; n < 42; n++) await store.put(`key${n}`, big);
  await store.put('late', 1);
  await store.close();
  assert.ok(readFileSync(`${file}.journal`).length < 1000, 'the journal was folded');
  cpSync(`${file}.old`, `${file}.journal`);
  const again = await open(file);
  assert.equal((await again.list('key')).filter(({ value }) => value === big).length, 42);
  assert.equal(await again.get('late'), undefined, 'it was in the journal that is gone');
  await again.close();
});

test('keys under a lease do not outlive the process, others do', async () => {
  const file = newFile();
  const store = await open(file);
  await store.put('here', 1, { lease: await store.lease(30) });
  await store.put('stays', 1);
  await store.close();
  assert.deepEqual(await keysOf(file), ['stays']);
});

test('a watcher that is far behind is told everything', async () => {
  const store = await open(newFile());
  const first = await store.put('k', 0);
  for (let n = 0; n < 9000; n += 500)
    await Promise.all(Array.from({ length: 500 }, (_, i) => store.put('k', n + i)));
  const events: WatchEvent[] = [];
  store.watch('', (event) => events.push(event), first);
  await Promise.resolve();
  assert.deepEqual(
    events.map(({ type }) => type),
    ['resync'],
  );
  await store.close();
});

test('a closed store refuses', async () => {
  const store = await open(newFile());
  const pending = store.put('a', 1);
  await store.close();
  await pending;
  await assert.rejects(store.get('a'), /after close/);
  await assert.rejects(store.put('a', 1), /after close/);
  await store.close();
});
