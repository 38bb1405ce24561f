import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { lockFile } from './file-lock.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-lock-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;
const newFile = (): string => path.join(root, `${++made}.lock`);

type Holder = Record<string, unknown>;
const read = (file: string): Holder => JSON.parse(readFileSync(file, 'utf8')) as Holder;

/** A lock file as this process would write it, changed. */
async function leftBehind(change: Holder): Promise<string> {
  const file = newFile();
  const lock = await lockFile(file);
  const holder = read(file);
  await lock.release();
  writeFileSync(file, JSON.stringify({ ...holder, ...change }));
  return file;
}

test('a second holder is refused and told who has it, until it is released', async () => {
  const file = newFile();
  const lock = await lockFile(file);
  await assert.rejects(lockFile(file), {
    code: 'STORE_LOCKED',
    message: new RegExp(`process ${process.pid} has it`),
  });
  await lock.release();
  await (await lockFile(file)).release();
  assert.deepEqual(readdirSync(root), []);
});

const dead: { name: string; change: Holder }[] = [
  { name: 'no such process', change: { pid: 4_194_305 } },
  { name: 'a process of that pid that started at another time', change: { started: '1' } },
  { name: 'another boot', change: { boot: 'another' } },
];
for (const { name, change } of dead) {
  test(`${name}: the lock is taken over, by exactly one of many`, async () => {
    const file = await leftBehind({ token: '0123456789abcdef', ...change });
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFile(file)));
    const won = results.filter((result) => result.status === 'fulfilled');
    assert.equal(won.length, 1);
    for (const result of results)
      if (result.status === 'rejected')
        assert.equal((result.reason as { code: string }).code, 'STORE_LOCKED');
    await won[0]!.value.release();
    assert.deepEqual(readdirSync(root), []);
  });
}

test('a holder in another pid namespace counts as alive', async () => {
  const file = await leftBehind({ pidNamespace: 'pid:[1]' });
  await assert.rejects(lockFile(file), /STORE_LOCKED|has it open/);
  rmSync(file);
});

test('a lock file torn by a power cut is taken over', async () => {
  const file = newFile();
  writeFileSync(file, '');
  await (await lockFile(file)).release();
});

test('a killed contender for a dead lock does not block it', async () => {
  const file = await leftBehind({ token: '0123456789abcdef', pid: 4_194_305 });
  writeFileSync(
    `${file}.0123456789abcdef.break`,
    JSON.stringify({ ...read(file), token: 'fedcba9876543210' }),
  );
  writeFileSync(`${file}.fedcba9876543210.tmp`, JSON.stringify({ ...read(file), token: 'fedcba9876543210' }));
  await (await lockFile(file)).release();
  assert.deepEqual(readdirSync(root), []);
});

test('release leaves a lock that is no longer its own', async () => {
  const file = newFile();
  const lock = await lockFile(file);
  writeFileSync(file, JSON.stringify({ ...read(file), token: 'fedcba9876543210' }));
  await lock.release();
  assert.equal(read(file)['token'], 'fedcba9876543210');
  rmSync(file);
});

test('a zombie holds nothing', async () => {
  const child = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 5'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  assert.ok(stat.includes(') Z '));
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  const file = await leftBehind({ pid, started });
  await (await lockFile(file)).release();
  child.kill();
  await once(child, 'exit');
});
