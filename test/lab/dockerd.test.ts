/** dockerd goes and comes back: containers, labels and policy are as before. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { addressOf, importLabImage, reaches, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { Lan } from './lan.ts';
import { lab } from './lab-test.ts';
import type { LabNamespace } from './namespace.ts';
import { finish, sendCommand, startReceiver } from './probe.ts';
import type { Tally } from './probe.ts';
import { until } from './run.ts';

const NETWORK = 'harbour';
const HOST = '192.168.79.1';
const OUTSIDE = '192.168.79.2';
const PORT = 8080;
/** A start that waited on Docker's own API would take 200 ms per container more, a hanging one for ever. */
const BOOT_MS = 15_000;
const WEB = [{ ports: [{ port: '80', protocol: 'TCP' }] }];

let segment: Lan | undefined;
let outside: LabNamespace;
const dockerd = lab(
  async () => {
    segment = await Lan.start('quay');
    outside = await segment.neighbour('ship', `${OUTSIDE}/24`);
    const lan = { segment, address: `${HOST}/24`, gateway: OUTSIDE };
    return LabHost.start({ name: 'dockerd', lan });
  },
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, NETWORK);
    await setPolicy(host, [
      {
        endpointSelector: { matchLabels: { role: 'server' } },
        ingress: [
          { fromEndpoints: [{ matchLabels: { role: 'client' } }], toPorts: WEB },
          { fromEntities: ['world'], toPorts: WEB },
        ],
      },
    ]);
  },
);
after(async () => {
  await segment?.[Symbol.asyncDispose]();
});

async function startCast(host: LabHost): Promise<void> {
  for (const role of ['server', 'client', 'stranger']) {
    const flags = ['--restart', 'always', ...(role === 'server' ? ['-p', `${PORT}:80`] : [])];
    await start(host, role, { network: NETWORK, labels: [`role=${role}`], flags });
  }
}

/** All three have their own identity again, and policy is what it was. */
async function expectPolicy(host: LabHost): Promise<void> {
  await until(
    'all endpoints have their labels',
    async () => {
      const endpoints = await ask<api.Endpoint[]>(host, '/v1/endpoints');
      const labels = endpoints
        .flatMap((endpoint) => endpoint.identity.labels)
        .filter((label) => label.startsWith('container:role='));
      return (
        endpoints.length === 3 &&
        labels.length === 3 &&
        endpoints.every((endpoint) => endpoint.state === 'ready')
      );
    },
    20_000,
  );
  const address = await addressOf(host, 'server', NETWORK);
  assert.deepEqual(
    [await reaches(host, 'client', address), await reaches(host, 'stranger', address)],
    [true, false],
  );
  assert.equal(await reaches(host, 'client', address, 81), false);
}

/** The server's port is open from outside; it is shown once, leads to one place, and every address has one owner. */
async function expectPort(host: LabHost): Promise<void> {
  const url = `http://${HOST}:${PORT}`;
  const answer = async (): Promise<string> =>
    (await outside.attempt(['curl', '-s', '-m', '2', url])).stdout.trim();
  await until('the published port answers from outside', async () => (await answer()) === 'server');
  const services = await host.weirJson<api.Service[]>('service', 'list');
  assert.deepEqual(
    services.map(({ frontend, containerName }) => `${frontend.address}:${frontend.port} ${containerName}`),
    [`0.0.0.0:${PORT} server`],
  );
  const address = await addressOf(host, 'server', NETWORK);
  const entries = await ask<api.BpfService[]>(host, '/v1/bpf/lb');
  assert.deepEqual(
    entries.map(({ port, backendAddress }) => [port, backendAddress]),
    [[PORT, address]],
  );
  const [pool] = await ask<api.Pool[]>(host, '/v1/ipam');
  assert.equal(pool?.allocated, 3);
  assert.equal((await ask<api.BpfEndpoint[]>(host, '/v1/bpf/endpoint')).length, 3);
}

/** dockerd answers nothing while it boots: each start gave up on the labels once, and says after how long. */
function expectShortWaits(host: LabHost): void {
  const waits = [...host.agentLog().matchAll(/starts without identity endpoint=(\w+) .*/g)];
  assert.equal(new Set(waits.map(([, endpoint]) => endpoint)).size, waits.length);
  for (const [line] of waits) assert.match(line, /no answer within 200 ms/);
}

for (const [how, end] of [
  ['gracefully', (host: LabHost) => host.stopDockerd()],
  ['with SIGKILL', (host: LabHost) => host.killDockerd()],
] as const) {
  dockerd.test(
    `restarted ${how}: --restart always containers come back with their identities and ports`,
    async (host) => {
      await startCast(host);
      await expectPolicy(host);
      await expectPort(host);
      await end(host);
      const started = Date.now();
      await host.startDockerd();
      assert.ok(Date.now() - started < BOOT_MS, `dockerd took ${Date.now() - started} ms to answer`);
      await expectPolicy(host);
      await expectPort(host);
      expectShortWaits(host);
      await remove(host);
      assert.deepEqual(await ask<api.Endpoint[]>(host, '/v1/endpoints'), []);
      assert.deepEqual(await ask<api.Service[]>(host, '/v1/services'), []);
    },
  );
}

dockerd.test(
  'restarted with live-restore: running containers lose no packet and keep everything',
  async (host) => {
    await host.stopDockerd();
    await host.startDockerd(['--live-restore']);
    const to = await startReceiver(host, 'sink', { network: NETWORK, port: 9000 });
    const stream = { tag: 'e', to, port: 9000, count: 0, intervalUs: 1000 };
    await start(host, 'source', { network: NETWORK, command: sendCommand(stream) });
    const before = await ask<api.Endpoint[]>(host, '/v1/endpoints');
    await host.stopDockerd();
    await host.startDockerd(['--live-restore']);
    await start(host, 'late', { network: NETWORK });
    assert.equal(await reaches(host, 'late', to), false); // sink has no web server: the network answers with a reset
    await remove(host, 'late');
    assert.deepEqual(await ask<api.Endpoint[]>(host, '/v1/endpoints'), before);
    const { sent } = await finish<{ sent: number }>(host, 'source');
    const tallies = await finish<Record<string, Tally>>(host, 'sink');
    assert.deepEqual(tallies, { e: { received: sent, last: sent - 1 } });
  },
);
