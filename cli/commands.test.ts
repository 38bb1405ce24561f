import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { api } from '../base/index.ts';
import { type Answers, fakeAgent, refuse } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';
import { status } from './sample.ts';

const daemon: api.Version = { version: '0.1.0', api: 'v1', node: '20.20.2', kernel: '6.6.1' };

const ANSWERS: Answers = {
  'GET /v1/status': status,
  'GET /v1/version': daemon,
  'GET /v1/config': [{ name: 'policy-mode', value: 'always', source: 'file' }] satisfies api.Setting[],
};

prints(ANSWERS, [
  {
    line: 'status',
    out: `
kvstore:   Ok        embedded, 12 keys
uplink:    Warning   none: world is denied

Overall:   Warning`,
  },
  {
    line: 'status -v',
    out: `
kvstore:   Ok        embedded, 12 keys
                     file: /var/lib/weir/store.json
uplink:    Warning   none: world is denied

Overall:   Warning`,
  },
  { line: 'status --brief', out: '\nwarning; uplink: none: world is denied' },
  {
    line: 'config',
    out: `
NAME          VALUE    SOURCE
policy-mode   always   file`,
  },
  {
    line: 'version',
    out: `
Client:   0.1.0 (node ${process.versions.node})
Daemon:   0.1.0 (API v1, node 20.20.2, kernel 6.6.1)`,
  },
]);

printsJson(ANSWERS, [
  { line: 'status', want: status },
  { line: 'version', want: { client: { version: '0.1.0', node: process.versions.node }, daemon } },
]);

test('status exits 1 on a failure', async () => {
  await using agent = await fakeAgent({ 'GET /v1/status': { ...status, state: 'failure' } });
  assert.equal((await agent.weir('status --brief')).code, 1);
  assert.equal((await agent.weir('status -o json')).code, 1);
});

test('what the agent refuses is its words on one line, exit 1', async () => {
  const body = {
    code: 'ENDPOINT_NOT_FOUND',
    message: 'no endpoint "9\u001b[31m"',
    hint: 'name it by number',
  };
  await using agent = await fakeAgent({ 'GET /v1/endpoints/9': refuse(404, body) });
  assert.deepEqual(await agent.weir('endpoint get 9'), {
    code: 1,
    out: '',
    err: 'weir: no endpoint "9 [31m" (name it by number)\n',
  });
});

test('labels cannot command the terminal', async () => {
  const identity = { id: 300, labels: ['container:a=\u001b]0;owned\u0007\n'], endpoints: 1 };
  await using agent = await fakeAgent({ 'GET /v1/identities': [identity] });
  assert.equal((await agent.weir('identity list')).out.split('\n')[1], '300   container:a= ]0;owned    1');
});

test('something else on the socket is told from an agent', async () => {
  const page = (response: { end(text: string): void }): void => response.end('<html>');
  await using agent = await fakeAgent({ 'GET /v1/status': page });
  const { code, err } = await agent.weir('status');
  assert.equal(code, 1);
  assert.match(err, /^weir: what answers at \S+ is not a weir agent\n$/);
});
