/** An agent whose disk is full says so, refuses what it could not remember, and goes on by itself when there is room. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import type { api } from '../../base/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const MAIN = fileURLToPath(new URL('../../agent/main.js', import.meta.url));
const NETWORK = {
  NetworkID: '5'.repeat(64),
  Options: {},
  IPv4Data: [{ AddressSpace: 'local', Pool: '10.210.0.0/24', Gateway: '' }],
  IPv6Data: [],
};
const MOST_TRIES = 200;

/** The caller names the shape. */
async function call<T>(socketPath: string, path: string, body?: object): Promise<T> {
  const asked = request({ socketPath, path, method: body === undefined ? 'GET' : 'POST' });
  asked.end(body && JSON.stringify(body));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return JSON.parse(await text(answer)) as T;
}

/** Writes until nothing more fits. */
function fill(file: string): void {
  for (const size of [65_536, 4096, 1])
    try {
      for (;;) appendFileSync(file, Buffer.alloc(size));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
}

test('with a full disk changes are refused in one line, status says why, and room is enough to go on', async () => {
  using bpffs = scratchBpffs();
  const folder = mkdtempSync(join(tmpdir(), 'weir-full-'));
  const state = join(folder, 'state');
  mkdirSync(state);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', state]);
  const docker = createServer().listen(join(folder, 'docker.sock'));
  const [plugin, run] = [join(folder, 'plugin.sock'), join(folder, 'run')];
  const places = ['--state-dir', state, '--run-dir', run, '--bpffs', bpffs.path];
  const sockets = ['--plugin-socket', plugin, '--docker-socket', join(folder, 'docker.sock')];
  const agent = spawn(process.execPath, [MAIN, 'agent', ...places, ...sockets], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(agent, 'exit');
  try {
    await once(agent.stdout, 'data');
    const kvstore = async (): Promise<api.Component> => {
      const { components } = await call<api.Status>(join(run, 'weir.sock'), '/v1/status');
      return components['kvstore']!;
    };
    const pool = await call<{ PoolID: string }>(plugin, '/IpamDriver.RequestPool', {
      AddressSpace: 'local',
      Pool: '',
      V6: false,
    });
    await call(plugin, '/NetworkDriver.CreateNetwork', NETWORK);
    const address = (): Promise<{ Err?: string }> =>
      call(plugin, '/IpamDriver.RequestAddress', {
        PoolID: pool.PoolID,
        Address: '',
        Options: {},
      });
    assert.match(JSON.stringify(await address()), /"10\.210\.0\.\d+/);
    assert.equal((await kvstore()).state, 'ok');

    fill(join(state, 'ballast'));
    let refused: unknown;
    for (let tries = 0; refused === undefined && tries < MOST_TRIES; tries++) refused = (await address()).Err;
    assert.match(String(refused), /^[^\n]*write store [^\n]*: ENOSPC[^\n]*full or broken disk[^\n]*$/);
    const { state: health, message } = await kvstore();
    assert.equal(health, 'failure');
    assert.match(message, /ENOSPC/);

    rmSync(join(state, 'ballast'));
    assert.equal((await kvstore()).state, 'ok', 'found by itself');
    assert.match(JSON.stringify(await address()), /"10\.210\.0\.\d+/);
  } finally {
    agent.kill();
    await ended;
    docker.close();
    execFileSync('umount', [state]);
    rmSync(folder, { recursive: true });
  }
});
