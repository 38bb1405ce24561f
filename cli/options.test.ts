import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answers, fakeAgent } from './fake-agent.ts';
import { prints } from './golden.ts';

const ANSWERS: Answers = {
  'GET /v1/endpoints/app1/config': { policyAuditMode: 'disable' },
  'PATCH /v1/endpoints/app1/config': { policyAuditMode: 'enable' },
  'PATCH /v1/config': [{ name: 'policy-audit-mode', value: 'enable', source: 'runtime' }],
};

prints(ANSWERS, [
  { line: 'endpoint config app1', out: '\nPolicyAuditMode:   Disabled' },
  { line: 'endpoint config app1 PolicyAuditMode=enable', out: '\nPolicyAuditMode:   Enabled' },
  {
    line: 'config policyauditmode=Enabled',
    out: `
NAME                VALUE    SOURCE
policy-audit-mode   enable   runtime`,
  },
]);

for (const line of [
  'config A=b',
  'endpoint config app1 PolicyAuditMode=maybe',
  'config PolicyAuditMode=enable x=y',
]) {
  test(`weir ${line} is refused`, async () => {
    await using agent = await fakeAgent(ANSWERS);
    assert.equal((await agent.weir(line)).code, 2);
    assert.deepEqual(agent.requests, []);
  });
}

test('an option is sent as it is meant', async () => {
  await using agent = await fakeAgent(ANSWERS);
  await agent.weir('endpoint config app1 PolicyAuditMode=disable');
  const body = { policyAuditMode: 'disable' };
  assert.deepEqual(agent.requests, [{ line: 'PATCH /v1/endpoints/app1/config', body }]);
});
