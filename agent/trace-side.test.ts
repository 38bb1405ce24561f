import assert from 'node:assert/strict';
import test from 'node:test';
import type { api } from '../base/index.ts';
import { sampleEndpoints } from './api-sample.ts';
import { partsOf } from './fakes.ts';
import { labelsOfSide } from './trace-side.ts';

const WEB = ['container:id=web', 'weir:network=app'];
const LABELS = new Map([
  [1, ['reserved:host']],
  [2, ['reserved:world']],
  [300, WEB],
  [0x1000001, ['cidr:192.0.2.0/24']],
]);
const parts = partsOf({
  endpoints: {
    list: () => [{ identity: 300, ipv4: '10.210.0.9', endpointId: 7, containerName: 'web', ipv6: '' }],
  },
  datapath: {
    endpoints: { list: () => [] },
    services: { list: () => [] },
    ipcache: { sources: { host: ['10.0.0.5', 'fe80::1'], cluster: ['10.210.0.0/16'] } },
  },
  labelsOf: (id: number) => LABELS.get(id) ?? [],
});
const endpoints = sampleEndpoints
  .slice(0, 1)
  .map((sample) => ({ ...sample, id: 7, containerName: 'web', identity: { id: 300, labels: WEB } }));

const labelsOf = (party: api.TraceParty): string[] => labelsOfSide(parts, party, endpoints);

for (const { name, party, labels } of [
  { name: 'labels are what they are', party: { labels: ['a=1', 'b'] }, labels: ['a=1', 'b'] },
  { name: 'an endpoint by its number', party: { endpoint: '7' }, labels: WEB },
  { name: 'an endpoint by its container', party: { endpoint: 'container-name:web' }, labels: WEB },
  { name: 'an identity', party: { identity: 300 }, labels: WEB },
  { name: 'an identity of a range', party: { identity: 0x1000001 }, labels: ['cidr:192.0.2.0/24'] },
  { name: 'an address of a container', party: { address: '10.210.0.9' }, labels: WEB },
  { name: 'an address of the host', party: { address: '10.0.0.5' }, labels: ['reserved:host'] },
  { name: 'an address outside', party: { address: '192.0.2.7' }, labels: ['cidr:192.0.2.7/32'] },
  { name: 'a range outside', party: { address: '2001:db8::/32' }, labels: ['cidr:2001:db8::/32'] },
  { name: 'an address as a label', party: { labels: ['cidr:10.210.0.9'] }, labels: WEB },
]) {
  test(`a side of a trace: ${name}`, () => assert.deepEqual(labelsOf(party), labels));
}

for (const { name, party, code } of [
  { name: 'no such endpoint', party: { endpoint: 'db' }, code: 'ENDPOINT_NOT_FOUND' },
  { name: 'no such identity', party: { identity: 301 }, code: 'IDENTITY_NOT_FOUND' },
  { name: 'an address that is none', party: { address: '10.210' }, code: 'BAD_CIDR' },
  { name: 'a range with bits behind its length', party: { address: '10.0.0.1/8' }, code: 'BAD_CIDR' },
  {
    name: 'an address of the cluster that nobody has',
    party: { address: '10.210.0.77' },
    code: 'TRACE_INVALID',
  },
]) {
  test(`a side of a trace is refused: ${name}`, () => assert.throws(() => labelsOf(party), { code }));
}
