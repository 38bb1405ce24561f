/** The managed plugin: the same journey as with the agent beside dockerd, and everything that dockerd does to plugins. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { addressOf, importLabImage, reachable, remove, start } from './cast.ts';
import { driversOf, PLUGIN } from './driver.ts';
import { CHECKOUT, LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { disablePlugin, enablePlugin, pidOfPlugin, placeState, setPlugin } from './managed-plugin.ts';
import { run, until } from './run.ts';
import { addressesInUse, answers, endService, serve } from './swarm-service.ts';

const DRIVERS = driversOf(PLUGIN);
const NETWORK = 'harbour';
const ROLES = ['server', 'client', 'stranger'];
const ADMIT_CLIENT = {
  endpointSelector: { matchLabels: { role: 'server' } },
  ingress: [
    {
      fromEndpoints: [{ matchLabels: { role: 'client' } }],
      toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }] }],
    },
  ],
};

const ADDRESS = '192.168.78.1';
const ADMIT_TO_SERVICE = {
  endpointSelector: { matchLabels: { 'com.docker.swarm.service.name': 'web' } },
  ingress: [{ fromEndpoints: [{ matchLabels: { role: 'client' } }] }],
};

const plugin = lab(
  () => LabHost.start({ name: 'plugin', dockerdFlags: ['--live-restore'] }),
  async (host) => {
    await importLabImage(host);
    await createPlugin(host);
    await enablePlugin(host);
    await host.docker('network', 'create', ...DRIVERS, NETWORK);
    for (const role of ROLES)
      await start(host, role, { network: NETWORK, labels: [`role=${role}`], flags: ['--restart', 'always'] });
  },
);

/** As a user does it, from the checkout. */
async function createPlugin(host: LabHost): Promise<void> {
  const build = [join(CHECKOUT, 'scripts/plugin-build'), '--create', PLUGIN];
  await run(build, { env: { DOCKER_HOST: `unix://${host.dockerSocket}` }, timeoutMs: 120_000 });
  await placeState(host);
}

/** The order of endpoints is that of their creation before a restart, and another one after it. */
async function endpoints(host: LabHost): Promise<api.Endpoint[]> {
  return (await ask<api.Endpoint[]>(host, '/v1/endpoints')).toSorted((a, b) => a.id - b.id);
}

/** Who of the clients reaches which port of the server, once all have their labels. */
async function verdicts(host: LabHost): Promise<string[]> {
  await until(
    'all endpoints have their labels',
    async () => {
      const known = await endpoints(host).catch(() => []);
      const labels = known.flatMap(({ identity }) => identity.labels);
      return ROLES.every((role) => labels.includes(`container:role=${role}`));
    },
    20_000,
  );
  const server = await addressOf(host, 'server', NETWORK);
  const urls = [`http://${server}:80`, `http://${server}:81`];
  const seen = await Promise.all(
    ['client', 'stranger'].map(async (from) =>
      [...(await reachable(host, from, urls))].map((url) => `${from} ${url.split(':').at(-1)}`),
    ),
  );
  return seen.flat().toSorted();
}

/** How many containers' network namespaces the plugin has before it, those made after it included. */
async function namespacesSeen(host: LabHost): Promise<number> {
  const mounts = readFileSync(`/proc/${await pidOfPlugin(host)}/mountinfo`, 'utf8');
  return mounts.match(/ \/host\/run\/docker\/netns\/[0-9a-f]+ /g)?.length ?? 0;
}

const OPEN = ['client 80', 'client 81', 'stranger 80', 'stranger 81'];
const ADMITTED = ['client 80'];

plugin.test(
  'containers reach each other, then only as policy says, and `weir` on the host sees all',
  async (host) => {
    assert.deepEqual(await verdicts(host), OPEN);
    await setPolicy(host, [ADMIT_CLIENT]);
    assert.deepEqual(await verdicts(host), ADMITTED);
    assert.match(await host.weir('status'), /docker: +Ok/);
    assert.equal((await host.weirJson<api.Network[]>('network', 'list'))[0]?.name, NETWORK);
    assert.equal(await namespacesSeen(host), ROLES.length);
  },
);

plugin.test(
  'disabled, the datapath goes on; removed and made anew, so does the plugin, where it was',
  async (host) => {
    const before = await endpoints(host);
    await disablePlugin(host);
    const url = `http://${await addressOf(host, 'server', NETWORK)}:80`;
    assert.deepEqual([...(await reachable(host, 'client', [url]))], [url]);
    assert.deepEqual([...(await reachable(host, 'stranger', [url]))], []);
    await host.docker('plugin', 'rm', '-f', PLUGIN);
    await createPlugin(host);
    await setPlugin(host, 'WEIR_NODE_NAME=harbour-1');
    await enablePlugin(host);
    assert.deepEqual(await endpoints(host), before);
    assert.match(await host.weir('status'), /node: +Ok +harbour-1/);
    assert.equal(await namespacesSeen(host), ROLES.length);
  },
);

plugin.test(
  'dockerd restarted with live-restore: the plugin runs on and hears of Docker again',
  async (host) => {
    const pid = await pidOfPlugin(host);
    await host.stopDockerd();
    await host.startDockerd(['--live-restore']);
    assert.equal(await pidOfPlugin(host), pid);
    await start(host, 'late', { network: NETWORK, labels: ['role=late'] });
    const late = (await endpoints(host)).find((item) => item.containerName === 'late');
    assert.ok(late?.identity.labels.includes('container:role=late'));
    await remove(host, 'late');
  },
);

plugin.test('killed, Docker starts it again; with dockerd killed too, all comes back', async (host) => {
  const pid = (await pidOfPlugin(host)) ?? 0;
  process.kill(pid, 'SIGKILL');
  await until('another process is there', async () => ![pid, undefined].includes(await pidOfPlugin(host)));
  assert.deepEqual(await verdicts(host), ADMITTED);
  await host.killDockerd();
  await host.startDockerd();
  assert.deepEqual(await verdicts(host), ADMITTED);
  await remove(host);
});

/** A name leads to one replica or the other, by chance; a task is running a moment before it has its name. */
function expectBoth(host: LabHost, role: string, network: string): Promise<boolean> {
  const both = async (): Promise<boolean> => (await answers(host, role, network)).size === 2;
  return until(`${role} is answered by both replicas`, both, 60_000);
}

async function expectOnlyClients(host: LabHost, network: string): Promise<void> {
  await setPolicy(host, []);
  await expectBoth(host, 'stranger', network);
  await setPolicy(host, [ADMIT_TO_SERVICE]);
  await expectBoth(host, 'client', network);
  assert.equal((await answers(host, 'stranger', network)).size, 0);
}

plugin.test(
  'in a swarm, on a network that each node configures, a service answers by its name',
  async (host) => {
    await host.run(['ip', 'address', 'add', `${ADDRESS}/32`, 'dev', 'lo']);
    await host.docker('swarm', 'init', '--advertise-addr', ADDRESS);
    const configured = ['--config-only', '--ipam-driver', PLUGIN, '--subnet', '10.77.0.0/24'];
    await host.docker('network', 'create', ...configured, 'settings');
    const shared = ['--driver', PLUGIN, '--scope', 'swarm', '--attachable', '--config-from', 'settings'];
    await host.docker('network', 'create', ...shared, 'nodes');
    await serve(host, 'nodes');
    await expectOnlyClients(host, 'nodes');
    const [replica] = await endpoints(host);
    const labels = ['container:com.docker.swarm.service.name=web', 'weir:network=nodes'];
    assert.deepEqual(replica?.identity.labels, labels);
    await endService(host, 'nodes');
    assert.equal(await addressesInUse(host), 0);
  },
);

plugin.test(
  'on a network of the swarm its manager gives the addresses, and a restarted one knows them',
  async (host) => {
    await disablePlugin(host);
    await setPlugin(host, 'WEIR_SCOPE=global');
    await enablePlugin(host);
    await host.docker('network', 'create', ...DRIVERS, '--subnet', '10.88.0.0/24', '--attachable', 'wide');
    await serve(host, 'wide', '--endpoint-mode', 'dnsrr');
    await expectOnlyClients(host, 'wide');
    await host.stopDockerd();
    await host.startDockerd();
    await expectBoth(host, 'client', 'wide');
    assert.equal((await answers(host, 'stranger', 'wide')).size, 0);
    await endService(host, 'wide');
    await until('all addresses are free', async () => (await addressesInUse(host)) === 0);
  },
);

plugin.test('taken away, it leaves nothing', async (host) => {
  await host.docker('network', 'rm', NETWORK);
  await host.docker('plugin', 'disable', PLUGIN);
  await host.docker('plugin', 'rm', PLUGIN);
  await host.weir('cleanup');
  assert.doesNotMatch(await host.run(['ip', '-br', 'link']), /weir/);
  for (const family of ['-4', '-6'])
    assert.doesNotMatch(await host.run(['ip', family, 'rule']), /lookup 210/);
  for (const path of [
    '/run/weir',
    '/var/lib/weir/store.json',
    '/sys/fs/bpf/weir',
    '/run/docker/plugins/weir.sock',
  ])
    assert.equal(existsSync(join(`/proc/${host.machine.pid}/root`, path)), false, path);
});
