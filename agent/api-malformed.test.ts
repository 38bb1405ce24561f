import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLog } from '../base/index.ts';
import { createApi } from './api.ts';
import { sampleState } from './api-sample.ts';

const BODIES = [
  {
    method: 'PUT',
    path: '/v1/policy',
    body: '{"files":[{"name":"a.json","text":"[{\\"endpointSelector\\":{}}]"}],"replaceAll":true}',
  },
  { method: 'POST', path: '/v1/policy/validate', body: '{"files":[{"name":"a.json","text":"[]"}]}' },
  {
    method: 'POST',
    path: '/v1/policy/trace',
    body: '{"source":{"labels":["id=app2"]},"destination":{"endpoint":"1"},"dports":[{"port":80,"protocol":"TCP"}]}',
  },
];

/** A valid body with a few bytes overwritten, removed or put in, or cut short. */
const mutated = fc
  .record({
    sample: fc.constantFrom(...BODIES),
    edits: fc.array(fc.tuple(fc.nat(200), fc.nat(3), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 6,
    }),
  })
  .map(({ sample, edits }) => {
    let bytes = Buffer.from(sample.body);
    for (const [at, removed, byte] of edits) {
      const i = at % (bytes.length + 1);
      bytes = Buffer.concat([bytes.subarray(0, i), Buffer.from([byte]), bytes.subarray(i + removed)]);
    }
    return { ...sample, bytes };
  });

function exchange(
  port: number,
  method: string,
  path: string,
  bytes: Buffer,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { port, method, path, headers: { 'content-length': bytes.length } };
    const outgoing = send(options, (incoming) => {
      let text = '';
      incoming.on('data', (chunk) => (text += String(chunk)));
      incoming.on('end', () => resolve({ status: incoming.statusCode!, text }));
    });
    outgoing.on('error', reject).end(bytes);
  });
}

test(
  '2,000 mutated bodies: answered in form, nothing half-read reaches the agent',
  { timeout: 60_000 },
  async () => {
    const state = sampleState();
    const server = createServer(createApi(state, { log: silentLog })).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.on('listening', resolve));
    const { port } = server.address() as AddressInfo;
    let refused = 0;
    try {
      await fc.assert(
        fc.asyncProperty(mutated, async ({ method, path, bytes }) => {
          const before = state.calls.length;
          const { status, text } = await exchange(port, method, path, bytes);
          const answer = JSON.parse(text) as { code?: string; message?: string };
          assert.ok(status === 200 || (status >= 400 && status < 500), `${status} ${text}`);
          if (status === 200) return;
          refused += 1;
          assert.match(String(answer.code), /^[A-Z_]+$/);
          assert.match(String(answer.message), /^.+$/);
          const passed = state.calls.length - before;
          assert.equal(passed, answer.code === 'POLICY_INVALID' ? 1 : 0);
        }),
        { numRuns: 2_000 },
      );
      assert.ok(refused > 1_000, `${refused} were refused`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);
