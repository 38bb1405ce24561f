/** Of endpoints nothing is left, wherever something of them could be. */
import assert from 'node:assert/strict';
import type { FakeHost } from './fakes.ts';

export function assertEmpty(host: FakeHost): void {
  assert.deepEqual(host.endpoints.list(), []);
  assert.deepEqual([...host.datapath.specs.keys()], []);
  assert.deepEqual([...host.identities.held.keys()], []);
  assert.deepEqual(
    [...host.records.kept.keys()].filter((key) => key.startsWith('endpoints/')),
    [],
  );
}
