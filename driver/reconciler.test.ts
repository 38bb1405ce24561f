import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { silentLog } from '../base/index.ts';
import type { EndpointFacts } from './contract.ts';
import type { DockerEvent, DockerNetwork, EndpointSighting } from './docker-client.ts';
import { type FakeHost, fakeHost } from './fakes.ts';
import { Reconciler } from './reconciler.ts';

/** Docker's view, changed by the test; silent while `isAway`. */
class FakeView {
  nets: DockerNetwork[] = [];
  sightings: EndpointSighting[] = [];
  isAway = false;
  watches = 0;
  emit: (event: DockerEvent) => void = () => undefined;
  readonly #host: FakeHost;

  constructor(host: FakeHost) {
    this.#host = host;
  }

  async networks(): Promise<DockerNetwork[]> {
    await Promise.resolve();
    if (this.isAway) throw new Error('away');
    return this.nets;
  }

  endpoints(id: string): Promise<EndpointSighting[] | undefined> {
    return Promise.resolve(this.nets.some((network) => network.id === id) ? this.sightings : undefined);
  }

  identify(_network: string, endpoint: string): Promise<EndpointFacts | undefined> {
    return Promise.resolve(this.#host.docker.facts.get(endpoint));
  }

  async watch(onOpen: () => void, onEvent: (event: DockerEvent) => void, signal: AbortSignal): Promise<void> {
    if (this.isAway) throw new Error('away');
    this.watches++;
    this.emit = onEvent;
    onOpen();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  }
}

async function setting() {
  const host = fakeHost();
  const view = new FakeView(host);
  const lost: string[] = [];
  const reconciler = new Reconciler({
    docker: view,
    networks: host.networks,
    endpoints: host.endpoints,
    log: silentLog,
    now: host.now,
    onEndpointLost: (endpoint) => lost.push(endpoint.ipv4),
    onNetworkLost: (network) => lost.push(network.id),
  });
  await host.network('n-app');
  view.nets = [{ id: 'n-app', name: 'app' }];
  host.docker.tell('web', 'app', 'web', { id: 'web' });
  return { host, view, lost, reconciler };
}

const sighting = (endpointId: string, containerName = endpointId): EndpointSighting => ({
  endpointId,
  containerName,
  containerId: `id-of-${endpointId}`,
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 300, `in vain: ${what}`);
    await sleep(10);
  }
}

test('what Docker still has stays, and all is settled', async () => {
  const { host, view, lost, reconciler } = await setting();
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  view.sightings = [sighting('web')];
  assert.equal(await reconciler.reconcile(), true);
  assert.deepEqual([host.endpoints.list().length, lost], [1, []]);
});

test('an endpoint whose container is gone is removed, and its address told', async () => {
  const { host, lost, reconciler } = await setting();
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  assert.equal(await reconciler.reconcile(), true);
  assert.deepEqual([host.endpoints.list(), lost], [[], ['10.210.0.5']]);
});

test('an endpoint in the making is left alone until nobody can be making it', async () => {
  const { host, lost, reconciler } = await setting();
  await host.endpoints.create({
    networkId: 'n-app',
    endpointId: 'web',
    place: { ipv4: '10.210.0.5' },
  });
  assert.equal(await reconciler.reconcile(), false);
  assert.equal(host.endpoints.list().length, 1);
  host.pass(30_000);
  assert.equal(await reconciler.reconcile(), true);
  assert.deepEqual([host.endpoints.list(), lost], [[], ['10.210.0.5']]);
});

test('a network that Docker removed in silence goes with its endpoints, but not a young one', async () => {
  const { host, view, lost, reconciler } = await setting();
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  view.nets = [];
  assert.equal(await reconciler.reconcile(), false);
  assert.deepEqual(
    host.networks.list().map((network) => network.id),
    ['n-app'],
  );
  host.pass(30_000);
  assert.equal(await reconciler.reconcile(), true);
  assert.deepEqual([host.networks.list(), lost], [[], ['10.210.0.5', 'n-app']]);
});

test('nothing is concluded while Docker does not answer', async () => {
  const { host, view, lost, reconciler } = await setting();
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  view.isAway = true;
  host.pass(1e9);
  await assert.rejects(reconciler.reconcile(), /away/);
  assert.deepEqual([host.endpoints.list().length, lost], [1, []]);
});

test('names of networks and new names of containers are taken down', async () => {
  const { host, view, reconciler } = await setting();
  host.docker.tell('web', 'old', 'web');
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  view.sightings = [sighting('web', 'front')];
  await reconciler.reconcile();
  assert.deepEqual(
    host.endpoints.list().map(({ network, containerName }) => [network, containerName]),
    [['app', 'front']],
  );
});

test('late labels are resolved as soon as Docker answers, without being asked again', async () => {
  const { host, view, reconciler } = await setting();
  view.isAway = true;
  host.docker.isSilent = true;
  reconciler.start();
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  await sleep(50);
  assert.equal(host.endpoints.list()[0]?.state, 'waiting-for-identity');
  view.sightings = [sighting('web')];
  view.isAway = false;
  await until('identity', () => host.endpoints.list()[0]?.state === 'ready');
  await until('events', () => view.watches === 1);
  await reconciler.stop();
});

test('events: a new network tells its name, a rename and a destroyed container are followed', async () => {
  const { host, view, lost, reconciler } = await setting();
  reconciler.start();
  await until('events', () => view.watches === 1);
  await host.network('n-db');
  view.nets.push({ id: 'n-db', name: 'db' });
  view.emit({ type: 'network', action: 'create', id: 'n-db', attributes: { name: 'db' } });
  await until('name', () => host.networks.get('n-db').name === 'db');
  view.sightings = [sighting('web')];
  await host.run('web', 'n-app', '10.210.0.5', '/ns/web');
  view.emit({
    type: 'container',
    action: 'rename',
    id: 'id-of-web',
    attributes: { name: 'front', oldName: '/web' },
  });
  await until('rename', () => host.endpoints.list()[0]?.containerName === 'front');
  view.sightings = [];
  view.emit({ type: 'container', action: 'destroy', id: 'id-of-web', attributes: { name: 'front' } });
  await until('removal', () => lost.length === 1);
  await reconciler.stop();
});

test('an event about what is not ours asks Docker nothing', async () => {
  const { view, reconciler } = await setting();
  reconciler.start();
  await until('events', () => view.watches === 1);
  await sleep(20);
  let asked = 0;
  view.networks = () => (asked++, Promise.resolve([]));
  for (const action of ['create', 'connect', 'disconnect', 'destroy']) {
    view.emit({ type: 'network', action, id: 'n-other', attributes: { name: 'other' } });
  }
  view.emit({ type: 'container', action: 'destroy', id: 'other', attributes: {} });
  await sleep(20);
  assert.equal(asked, 0);
  await reconciler.stop();
});

test('an event that cannot be followed does not end the following', async () => {
  const { host, view, reconciler } = await setting();
  reconciler.start();
  await until('events', () => view.watches === 1);
  await until('name', () => host.networks.get('n-app').name === 'app');
  host.records.failing = true;
  view.emit({ type: 'network', action: 'create', id: 'n-app', attributes: { name: 'other' } });
  await sleep(10);
  host.records.failing = false;
  view.emit({ type: 'network', action: 'create', id: 'n-app', attributes: { name: 'app' } });
  await until('name again', () => host.networks.get('n-app').name === 'app');
  await reconciler.stop();
});
