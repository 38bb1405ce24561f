import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DropReason } from '../../bpf/index.ts';

const FOLDER = new URL('../../../test/packets', import.meta.url).pathname;
const OTHERS = ['drop.test.ts', 'fuzz.test.ts'];
/** What no packet can bring about: the kernel would have to fail in what it cannot fail in. */
const BEYOND_TESTS = [
  'DROP_NONE',
  'DROP_WRITE_ERROR', // of a header that has been read already
  'DROP_CT_INSERT_FAILED', // of a map that makes room for itself
];

test('every drop reason has a case', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.test.ts') && !OTHERS.includes(name));
  const text = files.map((name) => readFileSync(join(FOLDER, name), 'utf8')).join('\n');
  const missing = Object.keys(DropReason).filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  assert.deepEqual(missing, BEYOND_TESTS);
});
