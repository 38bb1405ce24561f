import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { removeStaleTemporaries, writeDurably } from './durable-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'weir-durable-'));
const file = path.join(folder, 'state.json');
process.on('exit', () => rmSync(folder, { recursive: true }));

test('a file is replaced whole, private, with nothing left beside it', async () => {
  await writeDurably(file, 'one');
  await writeDurably(file, 'two');
  assert.equal(readFileSync(file, 'utf8'), 'two');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['state.json']);
});

test('a write that fails leaves no temporary file', async () => {
  const target = path.join(folder, 'folder');
  await assert.rejects(writeDurably(path.join(target, 'x'), 'text'), { code: 'ENOENT' });
  await assert.rejects(writeDurably(folder, 'text'), /EISDIR|ENOTEMPTY|EEXIST/);
  assert.deepEqual(readdirSync(folder), ['state.json']);
});

test('only temporaries of this very file are stale', async () => {
  for (const name of ['state.json.77-1.tmp', 'state.json.tmp', 'state.json.journal', 'other.json.77-1.tmp']) {
    writeFileSync(path.join(folder, name), '');
  }
  await removeStaleTemporaries(file);
  assert.deepEqual(readdirSync(folder).toSorted(), [
    'other.json.77-1.tmp',
    'state.json',
    'state.json.journal',
    'state.json.tmp',
  ]);
});
