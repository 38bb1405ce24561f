/** Invariant 2: the agent may die at any instant; traffic, policy and bookkeeping do not notice. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { importLabImage, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { finish, send, sendCommand, startReceiver } from './probe.ts';
import type { Stream, Tally } from './probe.ts';
import { seeded } from './policy-model.ts';
import { run, sleep, until } from './run.ts';

const KILLS = 50;
const COLLECTED_MS = 45_000;
const NETWORK = 'ring';
/** By name: role, kind of connections, time between numbers in µs. */
const TALKERS = [
  ['stream', 'friend', 'stream', '1000'],
  ['connects', 'friend', 'connect', '5000'],
  ['refused', 'stranger', 'connect', '5000'],
] as const;

/** What talk.c says at its end. */
interface Talked {
  sent: number;
  answered: number;
  again: number;
}

async function buildTalk(host: LabHost): Promise<string> {
  const binary = join(host.machine.folder, 'talk');
  const source = fileURLToPath(new URL('../../../test/lab/talk.c', import.meta.url));
  await run(['gcc', '-static', '-O2', '-o', binary, source]);
  return binary;
}

interface Footprint {
  links: string[];
  routes: string[];
  pins: string[];
  files: string[];
  endpoints: number;
  bpfEndpoints: number;
  allocated: number;
}

let bare: Footprint;
const kill = lab(
  () => LabHost.start({ name: 'kill' }),
  async (host) => {
    await importLabImage(host, [await buildTalk(host)]);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, NETWORK);
    await setPolicy(host, [
      {
        endpointSelector: { matchLabels: { role: 'target' } },
        ingress: [{ fromEndpoints: [{ matchLabels: { role: 'friend' } }] }],
      },
    ]);
    bare = await footprint(host);
  },
);

/** Everything that a container leaves behind if somebody forgets it. */
async function footprint(host: LabHost): Promise<Footprint> {
  const lines = async (...command: string[]): Promise<string[]> =>
    (await host.run(command)).split('\n').filter(Boolean);
  const links = (await lines('ip', '-o', 'link')).map((line) => line.split(': ')[1] ?? '');
  const pools = await ask<api.Pool[]>(host, '/v1/ipam');
  return {
    links: links.filter((name) => !name.startsWith('docker')),
    routes: (await lines('ip', '-4', 'route', 'show', 'table', 'all')).filter(
      (line) => !line.includes('docker0'),
    ),
    pins: await lines('find', '/sys/fs/bpf'),
    files: readdirSync(`/proc/${host.machine.pid}/root/var/lib/weir`).toSorted(),
    endpoints: (await ask<api.Endpoint[]>(host, '/v1/endpoints')).length,
    bpfEndpoints: (await ask<api.BpfEndpoint[]>(host, '/v1/bpf/endpoint')).length,
    allocated: pools.reduce((sum, pool) => sum + pool.allocated, 0),
  };
}

function startSender(host: LabHost, name: string, role: string, stream: Stream): Promise<string> {
  return start(host, name, { network: NETWORK, labels: [`role=${role}`], command: sendCommand(stream) });
}

/** Kills the agent again and again, at moments of its life that are spread evenly; leaves a running one behind. */
async function killRepeatedly(host: LabHost): Promise<void> {
  const random = seeded(KILLS);
  for (let round = 0; round < KILLS; round++) {
    const agent = host.spawnAgent();
    if (round % 2 === 0) await agent.ready();
    await sleep(random() * (round % 2 === 0 ? 1200 : 500));
    await agent.kill();
  }
  await host.agent();
}

/** Short-lived containers, one after the other, until told to stop; those that a kill hits may fail to start. */
async function runContainers(
  host: LabHost,
  to: string,
  stopped: () => boolean,
): Promise<{ started: number; failed: number }> {
  const tally = { started: 0, failed: 0 };
  while (!stopped()) {
    const stream = { tag: 's', to, port: 9000, count: 5, intervalUs: 1000 };
    try {
      await send(host, { network: NETWORK, labels: ['role=stranger'] }, stream);
      tally.started++;
    } catch {
      tally.failed++;
    }
  }
  return tally;
}

kill.test(
  `${KILLS} kills: nothing lost on allowed flows, nothing admitted on denied ones`,
  async (host, context) => {
    const to = await startReceiver(host, 'target', { network: NETWORK, labels: ['role=target'], port: 9000 });
    const endless = { to, port: 9000, count: 0 };
    await startSender(host, 'steady', 'friend', { ...endless, tag: 'e', intervalUs: 1000 });
    await startSender(host, 'fresh', 'friend', { ...endless, tag: 'n', intervalUs: 5000, fresh: true });
    await startSender(host, 'denied', 'stranger', { ...endless, tag: 'd', intervalUs: 5000, fresh: true });
    const options = { network: NETWORK, labels: ['role=target'], command: ['talk', 'serve', '9001'] };
    const server = await start(host, 'server', options);
    for (const [name, role, mode, intervalUs] of TALKERS) {
      const command = ['talk', mode, server, '9001', intervalUs];
      await start(host, name, { network: NETWORK, labels: [`role=${role}`], command });
    }
    await host.weir('status');
    let over = false;
    const containers = Promise.all([1, 2, 3].map(() => runContainers(host, to, () => over)));
    await host.killAgent();
    await killRepeatedly(host);
    over = true;
    const tally = await containers;
    const started = tally.reduce((sum, one) => sum + one.started, 0);
    const failed = tally.reduce((sum, one) => sum + one.failed, 0);
    const sent: number[] = [];
    for (const name of ['steady', 'fresh', 'denied'])
      sent.push((await finish<{ sent: number }>(host, name)).sent);
    const [steady = 0, fresh = 0, denied = 0] = sent;
    context.diagnostic(
      `${steady} + ${fresh} datagrams allowed, ${denied} denied; ${started} containers started, ${failed} failed to`,
    );
    assert.ok(denied > 0 && started > 0);
    const talked: Talked[] = [];
    for (const [name] of TALKERS) talked.push(await finish<Talked>(host, name));
    const [stream, connects, refused] = talked as [Talked, Talked, Talked];
    context.diagnostic(`TCP: ${JSON.stringify({ stream, connects, refused })}`);
    for (const { sent } of [stream, connects, refused]) assert.ok(sent > 10);
    for (const allowed of [stream, connects])
      assert.deepEqual(allowed, { ...allowed, answered: allowed.sent, again: 0 });
    assert.equal(refused.answered, 0);
    const tallies = await finish<Record<string, Tally>>(host, 'target');
    assert.deepEqual(tallies, {
      e: { received: steady, last: steady - 1 },
      n: { received: fresh, last: fresh - 1 },
    });
  },
);

kill.test('nothing is left behind: addresses, links, routes, map entries, files', async (host) => {
  await remove(host);
  // what a kill interrupted in the making is kept for as long as dockerd may repeat its calls
  const deadline = Date.now() + COLLECTED_MS;
  while (!isDeepStrictEqual(await footprint(host), bare) && Date.now() < deadline) await sleep(500);
  assert.deepEqual(await footprint(host), bare);
});

kill.test('a container that went while the agent was away is gone after its start', async (host) => {
  await start(host, 'stays', { network: NETWORK });
  await start(host, 'goes', { network: NETWORK });
  await host.killAgent();
  const killed = host.docker('kill', 'goes'); // dockerd may repeat its calls until the agent is back
  await sleep(500);
  await host.agent();
  await killed;
  const names = await until('the dead endpoint is gone', async () => {
    const endpoints = await ask<api.Endpoint[]>(host, '/v1/endpoints');
    return endpoints.length === 1 && endpoints.map((endpoint) => endpoint.containerName);
  });
  assert.deepEqual(names, ['stays']);
});
