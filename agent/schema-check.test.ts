import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleFlow } from './api-sample.ts';
import { faults, responseSchema } from './schema-check.ts';

const flow = { $ref: '#/components/schemas/Flow' };
const record = { $ref: '#/components/schemas/MonitorRecord' };

test('a flow fits', () => {
  assert.deepEqual(faults(flow, sampleFlow), []);
  assert.deepEqual(faults(record, sampleFlow), []);
  assert.deepEqual(faults(record, { type: 'lost', count: 1 }), []);
});

for (const { name, value, fault } of [
  { name: 'a missing field', value: { ...sampleFlow, summary: undefined }, fault: '$.summary: is no string' },
  { name: 'an unknown field', value: { ...sampleFlow, more: 1 }, fault: '$: more is not in the schema' },
  { name: 'a wrong type', value: { ...sampleFlow, length: 1.5 }, fault: '$.length: is no integer' },
  {
    name: 'a value out of the list',
    value: { ...sampleFlow, verdict: 'maybe' },
    fault: '$.verdict: maybe is not in the list',
  },
  {
    name: 'an item of a list',
    value: { ...sampleFlow, ruleLabels: [7] },
    fault: '$.ruleLabels[0]: is no string',
  },
]) {
  test(`${name} is found`, () => assert.deepEqual(faults(flow, value), [fault]));
}

test('a number out of bounds and a record of no kind are found', () => {
  assert.deepEqual(faults({ $ref: '#/components/schemas/Lost' }, { type: 'lost', count: 0 }), [
    '$.count: 0 is out of bounds',
  ]);
  assert.deepEqual(faults(record, {}), ['$: fits 0 of the alternatives']);
});

test('an answer has the schema of its status, every other one that of an error', () => {
  assert.deepEqual(responseSchema('get', '/v1/version', 200), { $ref: '#/components/schemas/Version' });
  assert.deepEqual(responseSchema('get', '/v1/version', 503), { $ref: '#/components/schemas/Error' });
});
