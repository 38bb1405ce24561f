import assert from 'node:assert/strict';
import test from 'node:test';
import type { Endpoint } from '../datapath/index.ts';
import type { Rule } from '../policy/index.ts';
import { flowNames, Generations } from './flow-names.ts';

function endpoint(endpointId: number, containerName: string): Endpoint {
  return {
    key: `key-${endpointId}`,
    endpointId,
    hostInterface: `weir${endpointId}`,
    containerInterface: `weir${endpointId}c`,
    ifindex: 100 + endpointId,
    addresses: [`10.210.0.${endpointId}`, `fd00:210::${endpointId}`],
    mac: '02:00:00:00:00:01',
    gatewayMac: '02:00:00:00:00:02',
    gateways: ['169.254.1.1', 'fe80::1'],
    owner: { containerId: containerName, containerName, identity: 300, spaces: [], noWorld: false },
  };
}

function rules(...names: string[]): Rule[] {
  return names.map((name) => ({ labels: [`name=${name}`], endpointSelector: {} }));
}

const endpoints = [endpoint(7, 'web'), endpoint(8, 'db')];
const sources = {
  endpoints: () => endpoints,
  labelsOf: (identity: number) => [`container:id=${identity}`],
  interfaceName: (ifindex: number) => `eth${ifindex}`,
};

test('endpoints are known by number, and by address where an event has none', () => {
  const names = flowNames(sources, new Generations());
  assert.equal(names.containerName(8, '10.210.0.7'), 'db');
  assert.equal(names.containerName(0, '10.210.0.7'), 'web');
  assert.equal(names.containerName(0, 'fd00:210::8'), 'db');
  assert.equal(names.containerName(9, '10.210.0.7'), undefined);
  assert.equal(names.interfaceName(107), 'weir7');
  assert.equal(names.interfaceName(2), 'eth2');
});

test('a rule is explained by the revision that its event belongs to', () => {
  const generations = new Generations();
  generations.note(4, 2, rules('a'));
  generations.note(5, 3, rules('b', 'c'));
  const names = flowNames(sources, generations);
  assert.deepEqual(names.ruleLabels(1, generations.revisionOf(4)), ['name=a']);
  assert.deepEqual(names.ruleLabels(2, generations.revisionOf(5)), ['name=c']);
  assert.deepEqual(names.ruleLabels(0, 3), []);
  assert.deepEqual(names.ruleLabels(9, 3), []);
  assert.equal(names.ruleLog(1, 3), undefined);
  generations.note(6, 4, [{ endpointSelector: {}, log: { value: 'audit-7' } }]);
  assert.equal(names.ruleLog(1, generations.revisionOf(6)), 'audit-7');
  assert.equal(names.ruleLog(2, 4), undefined);
});

test('a generation that was resolved anew is of the revision before it, an unknown one of none', () => {
  const generations = new Generations();
  generations.note(4, 2, rules('a'));
  generations.note(7, 3, rules('b'));
  assert.deepEqual(
    [3, 4, 6, 7, 9].map((generation) => generations.revisionOf(generation)),
    [0, 2, 2, 3, 3],
  );
});

test('old revisions are forgotten', () => {
  const generations = new Generations();
  for (let number = 1; number <= 40; number++) generations.note(number, number, rules(`r${number}`));
  assert.equal(generations.revisionOf(20), 0);
  assert.deepEqual(generations.ruleLabels(1, 20), []);
  assert.deepEqual(generations.ruleLabels(1, generations.revisionOf(30)), ['name=r30']);
});
