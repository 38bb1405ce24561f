import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { silentLog, type api } from '../base/index.ts';
import { Monitor, type FlowEvent } from '../observe/index.ts';
import { createApi } from './api.ts';
import { listenOnSocket } from './api-listen.ts';
import { sampleState } from './api-sample.ts';

const event = {
  type: 1,
  reason: 133,
  source: '10.0.0.1',
  destination: '10.0.0.2',
  sourceEndpoint: 1,
  destinationEndpoint: 2,
  generation: 1,
};
const rest = {
  time: 0n,
  direction: 1,
  match: 0,
  ifindex: 1,
  length: 60,
  sourceIdentity: 0,
  destinationIdentity: 0,
  rule: 0,
};
const header = {
  sourcePort: 1,
  destinationPort: 2,
  protocol: 17,
  tcpFlags: 0,
  ctState: 0,
  icmpType: 0,
  icmpCode: 0,
  audit: 0,
};
const drop: FlowEvent = { ...rest, ...event, ...header };

interface Place extends AsyncDisposable {
  path: string;
  monitor: Monitor;
  close(): Promise<void>;
  open(query?: string): Promise<IncomingMessage>;
}

/** The API on a socket of its own, over a real monitor. */
async function place(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-api-'));
  const path = join(folder, 'run', 'weir.sock');
  const monitor = new Monitor({
    containerName: () => undefined,
    identityLabels: () => [],
    ruleLabels: () => [],
    ruleLog: () => undefined,
    interfaceName: () => 'weir1',
    dropReason: () => 'Policy denied',
    time: () => '2026-01-02T03:04:05.000000000Z',
  });
  const state = sampleState({ flows: (filter, sink) => monitor.subscribe(filter, sink, 10) });
  const listener = await listenOnSocket(createApi(state, { log: silentLog }), path);
  return {
    path,
    monitor,
    close: () => listener.close(),
    open: (query = '') =>
      new Promise((resolve, reject) => {
        get({ socketPath: path, path: `/v1/monitor${query}`, agent: false }, resolve).on('error', reject);
      }),
    [Symbol.asyncDispose]: async () => {
      await listener.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function read(stream: IncomingMessage, records: number): Promise<api.MonitorRecord[]> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.split('\n').length > records) break;
  }
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as api.MonitorRecord);
}

async function until(claim: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !claim(); i++) await sleep(10);
  assert.ok(claim());
}

test('events come as lines of JSON, filtered, and a client that leaves is forgotten', async () => {
  await using at = await place();
  const stream = await at.open('?type=drop,trace&from=1');
  assert.equal(stream.headers['content-type'], 'application/x-ndjson');
  for (let i = 0; i < 3; i++) {
    at.monitor.publish({ ...drop, length: i });
    at.monitor.publish({ ...drop, sourceEndpoint: 9 });
    at.monitor.publish({ ...drop, type: 5 });
  }
  const seen = await read(stream, 3);
  assert.deepEqual(
    seen.map((record) => record.type === 'drop' && record.length),
    [0, 1, 2],
  );
  await until(() => at.monitor.subscribers === 0);
});

test('a client that does not read loses events, is told how many, and costs no memory meanwhile', async () => {
  await using at = await place();
  const stream = await at.open();
  stream.pause();
  const sent = 20_000;
  for (let i = 0; i < sent; i++) {
    at.monitor.publish(drop);
    if (i % 500 === 0) await sleep(0);
  }
  let flows = 0;
  let lost = 0;
  let text = '';
  for await (const chunk of stream) {
    const lines = (text + String(chunk)).split('\n');
    text = lines.pop()!;
    for (const line of lines) {
      const record = JSON.parse(line) as api.MonitorRecord;
      if (record.type === 'lost') lost += record.count;
      else flows += 1;
    }
    if (flows + lost === sent) break;
  }
  assert.ok(lost > 0);
  assert.equal(flows + lost, sent);
});

test('the stream ends when the agent closes', async () => {
  const at = await place();
  const stream = await at.open();
  const ended = new Promise((resolve) => stream.on('error', resolve).on('end', resolve).resume());
  await at[Symbol.asyncDispose]();
  await ended;
});

test('the socket is for root alone, takes the place of a dead one, and refuses that of a live one', async () => {
  await using at = await place();
  assert.equal((await stat(at.path)).mode & 0o777, 0o600);
  await assert.rejects(
    listenOnSocket(() => {}, at.path),
    { code: 'SOCKET_IN_USE' },
  );
  const stale = `${at.path}2`;
  await writeFile(stale, '');
  const listener = await listenOnSocket(() => {}, stale);
  await listener.close();
  await assert.rejects(
    listenOnSocket(() => {}, join(at.path, 'x')),
    { code: 'SOCKET_FAILED' },
  );
});
