import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { UserError } from '../base/index.ts';
import { canonicalLabels, formatLabel, networkLabel, parseLabel } from './label.ts';

const READINGS: [text: string, source: string, key: string, value: string][] = [
  ['container:id=app1', 'container', 'id', 'app1'],
  ['id=app1', 'unspec', 'id', 'app1'],
  ['reserved:host', 'reserved', 'host', ''],
  ['a.b=c', 'unspec', 'a.b', 'c'],
  ['container.id=x', 'unspec', 'container.id', 'x'],
  ['com.example/team:web=1', 'unspec', 'com.example/team:web', '1'],
  ['container:team:web=1', 'container', 'team:web', '1'],
  ['container:container:id=1', 'container', 'container:id', '1'],
  ['command=a=b', 'unspec', 'command', 'a=b'],
  ['url=http://web:80', 'unspec', 'url', 'http://web:80'],
  [':x=1', 'unspec', ':x', '1'],
  [networkLabel('app-net'), 'weir', 'network', 'app-net'],
];

for (const [text, source, key, value] of READINGS) {
  test(`label ${text} reads as source ${source}, key ${key}`, () => {
    assert.deepEqual(parseLabel(text), { source, key, value });
  });
}

for (const text of ['', '=x', 'container:', 'container:=1', 'a b=1', 'a\nb', 'k\u0000']) {
  test(`label ${JSON.stringify(text)} is refused`, () => {
    assert.throws(
      () => parseLabel(text),
      (error) => error instanceof UserError && error.code === 'LABEL_INVALID',
    );
  });
}

test('a label set has one text: order, repetition and missing sources do not matter', () => {
  assert.deepEqual(canonicalLabels(['b=2', 'unspec:a=1', 'b=2', 'a=1']), ['unspec:a=1', 'unspec:b=2']);
  assert.deepEqual(canonicalLabels(['b'], 'container'), ['container:b']);
});

test('canonical labels read back as themselves', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom('container', 'weir', 'unspec'), text, text, (source, key, value) => {
      fc.pre(!/[=\s\p{Cc}]/u.test(key));
      assert.deepEqual(parseLabel(formatLabel({ source, key, value })), { source, key, value });
    }),
  );
});
