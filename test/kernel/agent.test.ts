/** The agent as a process, in a network namespace of its own: how it starts, how it refuses to, how it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Netlink } from '../../kernel/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const MAIN = fileURLToPath(new URL('../../agent/main.js', import.meta.url));
const STOP_MS = 2_500;
const netlink = Netlink.open();

interface Ended {
  code: number | null;
  stderr: string;
}

/** A place for an agent: folders and a bpffs of its own, a Docker that takes calls and never answers. */
class Place implements AsyncDisposable {
  readonly bpffs = scratchBpffs();
  readonly folder = mkdtempSync(join(tmpdir(), 'weir-agent-'));
  readonly #docker = createServer();
  readonly #agents: ChildProcess[] = [];

  constructor() {
    this.#docker.listen(join(this.folder, 'docker.sock'));
  }

  /** Starts an agent; resolves when it is ready, with a promise of its end, or when it has ended. */
  async start(
    options: Record<string, string> = {},
  ): Promise<{ agent: ChildProcess; ended: Promise<Ended>; isReady: boolean }> {
    const settings = {
      bpffs: this.bpffs.path,
      'state-dir': join(this.folder, 'state'),
      'run-dir': join(this.folder, 'run'),
      'plugin-socket': join(this.folder, 'plugin.sock'),
      'docker-socket': join(this.folder, 'docker.sock'),
      ...options,
    };
    const flags = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
    const agent = spawn(process.execPath, [MAIN, 'agent', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#agents.push(agent);
    let stderr = '';
    agent.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
    const ended = once(agent, 'close').then(([code]) => ({ code: code as number | null, stderr }));
    const ready = once(agent.stdout, 'data').then(() => true);
    return { agent, ended, isReady: await Promise.race([ready, ended.then(() => false)]) };
  }

  /** What a refused start says. */
  async refusal(options: Record<string, string>): Promise<string> {
    const { ended, isReady } = await this.start(options);
    assert.equal(isReady, false);
    const { code, stderr } = await ended;
    assert.equal(code, 1);
    assert.match(stderr, /^weir agent: .+\n$/, 'one line');
    return stderr;
  }

  get api(): string {
    return join(this.folder, 'run', 'weir.sock');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents)
      if (agent.exitCode === null && agent.kill('SIGKILL')) await once(agent, 'close');
    this.#docker.close();
    this.bpffs[Symbol.dispose]();
    rmSync(this.folder, { recursive: true });
  }
}

function ask(socketPath: string, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => get({ socketPath, path }, resolve).on('error', reject));
}

test('SIGTERM ends it in time though Docker hangs and somebody listens, and the datapath stays', async () => {
  await using place = new Place();
  const { agent, ended, isReady } = await place.start();
  assert.ok(isReady, 'ready without Docker');
  const listener = await ask(place.api, '/v1/monitor');
  assert.equal(listener.statusCode, 200);
  listener.on('error', () => {}).resume();
  const asked = performance.now();
  const status = ask(place.api, '/v1/status').catch(() => undefined);
  agent.kill('SIGTERM');
  const { code, stderr } = await ended;
  assert.equal(code, 0, stderr);
  assert.ok(performance.now() - asked < STOP_MS);
  await status;
  assert.ok(!existsSync(place.api) && !existsSync(join(place.folder, 'plugin.sock')));
  assert.ok(netlink.link('weir0'));
  assert.ok(existsSync(join(place.bpffs.path, 'weir', 'maps', 'weir_policy')));
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a successor that starts before ${signal} has its effect waits for it and takes over`, async () => {
    await using place = new Place();
    const { agent, ended } = await place.start();
    const successor = place.start();
    await sleep(100);
    agent.kill(signal);
    assert.ok((await successor).isReady);
    await ended;
    assert.equal((await ask(place.api, '/v1/version')).statusCode, 200);
  });
}

test('status is answered though Docker hangs, and says so', async () => {
  await using place = new Place();
  await place.start();
  const answer = await ask(place.api, '/v1/status');
  let text = '';
  for await (const part of answer) text += String(part);
  const { components } = JSON.parse(text) as {
    components: Record<string, { state: string; message: string }>;
  };
  assert.equal(components['docker']?.state, 'warning');
  assert.match(components['docker']?.message ?? '', /no answer/);
  assert.equal(components['datapath']?.state, 'ok');
});

test('a second agent is refused by whatever it shares with the first, which does not notice', async () => {
  await using place = new Place();
  await place.start();
  const elsewhere = (name: string): Record<string, string> => ({
    'run-dir': join(place.folder, `${name}-run`),
    'plugin-socket': join(place.folder, `${name}.sock`),
    'state-dir': join(place.folder, `${name}-state`),
  });
  using other = scratchBpffs();
  const { 'state-dir': _, ...shared } = elsewhere('a');
  assert.match(await place.refusal({ ...shared, bpffs: other.path }), /state/);
  assert.match(await place.refusal(elsewhere('b')), /another weir agent has the datapath/);
  const { 'run-dir': _run, ...sameApi } = elsewhere('c');
  assert.match(await place.refusal({ ...sameApi, bpffs: other.path }), /somebody answers on .*weir\.sock/);
  const { 'plugin-socket': _plugin, ...samePlugin } = elsewhere('d');
  assert.match(
    await place.refusal({ ...samePlugin, bpffs: other.path }),
    /somebody answers on .*plugin\.sock/,
  );
  assert.ok(!existsSync(join(other.path, 'weir')), 'nothing was touched');
  assert.equal((await ask(place.api, '/v1/version')).statusCode, 200);
});

test('what is missing or in the way is said in one line, and nothing is left half done', async () => {
  await using place = new Place();
  const weir0 = netlink.link('weir0');
  if (weir0 !== undefined) await netlink.deleteLink(weir0.index);
  netlink.setLinkUp(1);
  netlink.addRoute({ destination: '10.210.0.0/17', ifindex: 1 });
  assert.match(
    await place.refusal({}),
    /cluster CIDR 10\.210\.0\.0\/16 overlaps.*10\.210\.0\.0\/17.*--cluster-cidr/,
  );
  netlink.deleteRoute({ destination: '10.210.0.0/17' });
  const file = join(place.folder, 'file');
  writeFileSync(file, '');
  assert.match(await place.refusal({ 'state-dir': join(file, 'state') }), /file/);
  assert.match(await place.refusal({ bpffs: '/proc/nowhere/at/all' }), /bpffs/);
  const corrupt = join(place.folder, 'corrupt');
  mkdirSync(corrupt);
  writeFileSync(join(corrupt, 'store.json'), 'no JSON');
  assert.match(await place.refusal({ 'state-dir': corrupt }), /store\.json/);
  assert.match(await place.refusal({ 'run-dir': join(file, 'run') }), /file/);
  const { isReady } = await place.start();
  assert.ok(isReady, 'once nothing is missing it starts');
});
