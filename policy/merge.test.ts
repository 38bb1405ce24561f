import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { UserError } from '../base/index.ts';
import { deleteRules, mergeRules, selectRules } from './merge.ts';
import { parsePolicy } from './parse.ts';
import * as random from './random-policy.test-support.ts';
import type { Rule } from './rule.ts';

/** A rule that is told from others by its port. */
function rule(port: number, ...labels: string[]): Rule {
  const [made] = parsePolicy(
    JSON.stringify({ labels, endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port }] }] }] }),
    'test',
  );
  assert.ok(made);
  return made;
}

const MERGES: { name: string; current: Rule[]; imported: Rule[]; replaceAll?: true; merged: Rule[] }[] = [
  { name: 'new rules come after', current: [rule(1)], imported: [rule(2)], merged: [rule(1), rule(2)] },
  {
    name: 'an identical rule without labels stays once',
    current: [rule(1)],
    imported: [rule(1)],
    merged: [rule(1)],
  },
  {
    name: 'equal labels replace in place, in whatever order they are given',
    current: [rule(1, 'a=1', 'b=2'), rule(9)],
    imported: [rule(2, 'b=2', 'a=1')],
    merged: [rule(2, 'a=1', 'b=2'), rule(9)],
  },
  {
    name: 'one rule takes the place of all that have its labels',
    current: [rule(1, 'a=1'), rule(9), rule(2, 'a=1')],
    imported: [rule(3, 'a=1')],
    merged: [rule(3, 'a=1'), rule(9)],
  },
  {
    name: 'several rules of one name stay together',
    current: [rule(1, 'a=1'), rule(9)],
    imported: [rule(2, 'a=1'), rule(3, 'a=1')],
    merged: [rule(2, 'a=1'), rule(3, 'a=1'), rule(9)],
  },
  {
    name: 'a part of the labels replaces nothing',
    current: [rule(1, 'a=1', 'b=2')],
    imported: [rule(2, 'a=1')],
    merged: [rule(1, 'a=1', 'b=2'), rule(2, 'a=1')],
  },
  {
    name: 'another source is another label',
    current: [rule(1, 'a=1')],
    imported: [rule(2, 'k8s:a=1')],
    merged: [rule(1, 'a=1'), rule(2, 'k8s:a=1')],
  },
  {
    name: 'replace-all makes the file the whole policy',
    current: [rule(1), rule(2, 'a=1')],
    imported: [rule(3), rule(3)],
    replaceAll: true,
    merged: [rule(3)],
  },
];

for (const { name, current, imported, replaceAll = false, merged } of MERGES) {
  test(name, () => assert.deepEqual(mergeRules(current, imported, { replaceAll }), merged));
}

test('importing twice is importing once, and nothing of the file is missing', () => {
  const rules = random.rules.map((texts) => parsePolicy(JSON.stringify(texts), 'random'));
  fc.assert(
    fc.property(rules, rules, (first, second) => {
      const current = mergeRules([], first, { replaceAll: false });
      const once = mergeRules(current, second, { replaceAll: false });
      assert.deepEqual(mergeRules(once, second, { replaceAll: false }), once);
      const texts = new Set(once.map((each) => JSON.stringify(each)));
      for (const each of second) assert.ok(texts.has(JSON.stringify(each)));
    }),
    { numRuns: 200 },
  );
});

test('rules are found and deleted by all the labels given, whatever their source unless it is named', () => {
  const rules = [rule(1, 'name=a', 'team=x'), rule(2, 'k8s:name=a'), rule(3)];
  assert.deepEqual(selectRules(rules, ['name=a']), rules.slice(0, 2));
  assert.deepEqual(selectRules(rules, ['k8s:name=a']), [rules[1]]);
  assert.deepEqual(selectRules(rules, ['name=a', 'team=x']), [rules[0]]);
  assert.deepEqual(selectRules(rules, []), rules);
  assert.deepEqual(deleteRules(rules, ['name=a']), [rules[2]]);
  assert.deepEqual(deleteRules(rules, ['name=b']), rules);
  assert.deepEqual(deleteRules(rules, []), rules);
  assert.throws(() => selectRules(rules, ['a b']), UserError);
});
