import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { parsePolicy } from './parse.ts';
import { suggest } from './nearest-name.ts';

const GUIDE = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');
const EXAMPLES = [...GUIDE.matchAll(/```(json|yaml)\n([^]*?)```/g)].map((found) => found[2] ?? '');

test('every example of the guide is a policy', () => {
  const counts = EXAMPLES.map((example) => parsePolicy(example, 'docs/policy.md').length);
  assert.deepEqual(counts, [1, 1, 1, 2]);
});

test('the guide names every field that a rule may have', () => {
  const said = (() => {
    try {
      parsePolicy('{qqqqqqqqqqqq: 1}', 'f');
    } catch (error) {
      return String(error);
    }
    return '';
  })();
  const fields = said.split('use one of ')[1]?.split(', ') ?? [];
  assert.equal(fields.length, 9);
  for (const field of fields) assert.ok(GUIDE.includes(`\`${field}\``), field);
});

const NAMES = ['ingress', 'egress', 'labels', 'TCP'];
const SUGGESTIONS: [text: string, advice: string][] = [
  ['ingres', 'did you mean "ingress"?'],
  ['EGRES', 'did you mean "egress"?'],
  ['TPC', 'did you mean "TCP"?'],
  ['xy', 'use one of ingress, egress, labels, TCP'],
  ['somethingelse', 'use one of ingress, egress, labels, TCP'],
  ['l'.repeat(100_000), 'use one of ingress, egress, labels, TCP'],
];

for (const [text, advice] of SUGGESTIONS) {
  test(`${text.slice(0, 20)}: ${advice}`, () => assert.equal(suggest(text, NAMES), advice));
}
