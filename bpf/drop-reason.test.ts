import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { dropReason } from './drop-reason.ts';
import { DropReason } from './layout.gen.ts';

const FIELD = { first: 130, last: 205 } as const;
const OWN = { first: 210, last: 254 } as const;

const header = readFileSync(new URL('../../bpf/lib/drop.h', import.meta.url), 'utf8');
const inHeader = [...header.matchAll(/^\t(DROP_\w+) = (\d+),$/gm)].map(([, name, code]) => [
  name,
  Number(code),
]);

test('the generated list has every reason of drop.h and no other', () => {
  assert.deepEqual(Object.entries(DropReason), inHeader);
});

test('no number means two reasons, and no two reasons read alike', () => {
  const codes = Object.values(DropReason);
  assert.equal(new Set(codes).size, codes.length);
  assert.equal(new Set(codes.map(dropReason)).size, codes.length);
});

test('numbers are the field’s or of the range that is weir’s own', () => {
  const within = (code: number, range: { first: number; last: number }): boolean =>
    code >= range.first && code <= range.last;
  const strays = Object.values(DropReason).filter(
    (code) => code !== 0 && !within(code, FIELD) && !within(code, OWN),
  );
  assert.deepEqual(strays, []);
});

test('a number that nobody knows is told as it is', () => {
  assert.equal(dropReason(DropReason.DROP_POLICY), 'Policy denied');
  assert.equal(dropReason(7), 'reason 7');
});
