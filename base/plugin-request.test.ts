import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLog } from './log.ts';
import { BugError, UserError } from './errors.ts';
import {
  PLUGIN_CONTENT_TYPE,
  bodyFlag,
  bodyList,
  bodyObject,
  bodyText,
  pluginHandler,
  requiredText,
} from './plugin-request.ts';
import type { PluginMethod } from './plugin-request.ts';

async function call(
  method: Partial<PluginMethod>,
  body?: string,
): Promise<{ status: number; type: string | null; body: unknown }> {
  const handler = pluginHandler({ name: 'Test.Method', run: (b) => b, ...method }, silentLog);
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      ...(body !== undefined && { body: Buffer.from(body) }),
    });
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body: await response.json(),
    };
  } finally {
    server.close();
  }
}

test('a body without a content type is parsed and answered in the plugin content type', async () => {
  assert.deepEqual(await call({}, '{"A":"b"}\n'), {
    status: 200,
    type: PLUGIN_CONTENT_TYPE,
    body: { A: 'b' },
  });
});

test('an empty body is refused before the method runs, unless the method has none', async () => {
  let ran = 0;
  const run = (): object => ({ ran: ++ran });
  assert.equal((await call({ run })).status, 400);
  assert.equal(ran, 0);
  assert.deepEqual((await call({ run, bodyless: true })).body, { ran: 1 });
});

const unreadable = [
  { name: 'broken JSON', body: '{"A":', status: 400 },
  { name: 'a list', body: '[]', status: 400 },
  { name: 'null', body: 'null', status: 400 },
  { name: 'bytes', body: '\u0000\u0001', status: 400 },
  { name: 'too much', body: `{"A":"${'x'.repeat(1 << 20)}"}`, status: 413 },
];
for (const { name, body, status } of unreadable) {
  test(`${name} is refused in one line under both keys`, async () => {
    const got = await call({}, body);
    const { Err, Error: error } = got.body as { Err: string; Error: string };
    assert.equal(got.status, status);
    assert.equal(Err, error);
    assert.ok(Err.length > 0 && !Err.includes('\n'));
  });
}

test("a user's mistake answers 200 with hint and code, a bug 500", async () => {
  const mistake = await call(
    { run: () => Promise.reject(new UserError('BAD_THING', 'no such thing', { hint: 'try another' })) },
    '{}',
  );
  assert.equal(mistake.status, 200);
  assert.equal((mistake.body as { Error: string }).Error, 'no such thing (try another) [BAD_THING]');
  const bug = await call({ run: () => Promise.reject(new BugError('impossible')) }, '{}');
  assert.equal(bug.status, 500);
});

test('fields of the wrong type are refused by name, absent and null ones have defaults', () => {
  const body = { n: 5, none: null, text: 'x' };
  assert.throws(() => bodyText(body, 'n'), /n must be a string/);
  assert.throws(() => bodyFlag(body, 'n'), /n must be true or false/);
  assert.throws(() => bodyObject(body, 'n'), /n must be an object/);
  assert.throws(() => bodyList(body, 'n'), /n must be a list/);
  assert.throws(() => requiredText(body, 'none'), /none must be/);
  assert.deepEqual(
    [bodyText(body, 'none'), bodyFlag(body, 'absent'), bodyObject(body, 'none'), bodyList(body, 'none')],
    ['', false, {}, []],
  );
  assert.equal(requiredText(body, 'text'), 'x');
});
