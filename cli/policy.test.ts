import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answers, fakeAgent } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';
import { policy, preview } from './sample.ts';

const ANSWERS: Answers = {
  'GET /v1/policy': policy,
  'GET /v1/policy?labels=a&labels=b': { revision: 3, rules: [] },
  'DELETE /v1/policy?labels=a': { revision: 4, count: 1 },
  'DELETE /v1/policy?all=true': { revision: 5, count: 3 },
  'POST /v1/policy/preview': preview,
  'GET /v1/policy/wait?revision=3&timeoutMs=360000': { revision: 3, reached: true },
  'GET /v1/policy/wait?revision=9&timeoutMs=1000': { revision: 3, reached: false },
};

prints(ANSWERS, [
  {
    line: 'policy get',
    out: `
[
  {
    "endpointSelector": {
      "matchLabels": {
        "id": "app1"
      }
    }
  }
]
Revision: 3`,
  },
  { line: 'policy get a b', out: '\n[]\nRevision: 3' },
  { line: 'policy delete a', out: '\nRevision: 4' },
  { line: 'policy delete --all', out: '\nRevision: 5' },
  { line: 'policy wait 3', out: '\nRevision: 3' },
  { line: 'policy wait 9 --max-wait-time 1', code: 1, out: '\nRevision 9 is not enforced yet, 3 is' },
  { line: `policy wait 3 -o jsonpath={.revision}`, out: '\n3' },
  {
    line: 'policy import - --dry-run',
    out: `
Dry run: 1 rule read, 1 would come and 0 would go; revision 3 stays in force

New connections:
THEN      FROM                 TO                   WHAT
denied    world                a, b, c and 1 more   everything but TCP, UDP
allowed   a, b, c and 1 more   192.0.2.0/24         80-90/TCP
allowed   a, b, c and 1 more   192.0.2.0/24         all UDP
… and 7 more

Live connections, with their next packet:
THEN      FROM                    TO             PROTOCOL
denied    [fd00::4]:4242 (app3)   192.0.2.1:80   TCP
allowed   10.210.0.4 (app3)       10.210.0.1     ICMPv4`,
  },
]);

printsJson(ANSWERS, [
  { line: 'policy get', want: policy },
  { line: 'policy import - --dry-run', want: preview },
]);

test('a dry run that changes nothing says so, and sends what an import would', async () => {
  const calm = { ...preview, changes: [], connections: [], moreChanges: 0 };
  await using agent = await fakeAgent({ 'POST /v1/policy/preview': calm });
  const { code, out } = await agent.weir('policy import - --dry-run --replace-all', { stdin: '[]' });
  assert.equal(code, 0);
  assert.match(out, /No new connection would be judged otherwise\.\n\nNo live connection would/);
  const body = { files: [{ name: 'stdin', text: '[]' }], replaceAll: true };
  assert.deepEqual(agent.requests, [{ line: 'POST /v1/policy/preview', body }]);
});
