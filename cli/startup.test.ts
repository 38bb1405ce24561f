import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const here = new URL('.', import.meta.url);
const modules = readdirSync(here).filter((name) => name.endsWith('.js') && !name.endsWith('.test.js'));

test('a command starts in a blink: of base it takes types alone, and what few commands need is loaded when needed', () => {
  assert.ok(modules.includes('main.js'));
  for (const name of modules.filter((module) => module !== 'fake-agent.js')) {
    const text = readFileSync(new URL(name, here), 'utf8');
    assert.doesNotMatch(text, /^import .* from '(\.\.\/base\/|node:http|jsonpath-plus)/m, name);
  }
});
