import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { appHost, fakeHost } from './fakes.ts';

describe('labels that come late', () => {
  test('leave the container init, on no network, within the bound; then it gets its identity', async () => {
    const host = fakeHost();
    await host.network('n-app');
    let waiting = 0;
    host.endpoints.onWaiting(() => waiting++);
    host.docker.isSilent = true;
    const started = performance.now();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    assert.ok(performance.now() - started < 1_000);
    const owner = { containerId: '', containerName: '', identity: 5, spaces: [], noWorld: false };
    assert.deepEqual(host.datapath.owners.get('web-app'), owner);
    assert.deepEqual([waiting, host.endpoints.list()[0]?.state], [1, 'waiting-for-identity']);
    host.docker.tell('web-app', 'app', 'web', { id: 'web' });
    const facts = host.docker.facts.get('web-app');
    assert.ok(facts);
    await host.endpoints.resolve('web-app', facts);
    assert.deepEqual(host.datapath.owners.get('web-app'), {
      containerId: 'id-of-web',
      containerName: 'web',
      identity: 256,
      spaces: [2],
      noWorld: false,
    });
    assert.equal(host.networks.get('n-app').name, 'app');
  });

  test('are waited for once, and resolve all endpoints of the container', async () => {
    const host = await appHost();
    host.docker.isSilent = true;
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    assert.equal(host.docker.asked, 1);
    const facts = host.docker.facts.get('web-app');
    assert.ok(facts);
    await host.endpoints.resolve('web-app', facts);
    assert.deepEqual(
      [...host.datapath.owners.values()].map((owner) => owner.identity),
      [256, 256],
    );
  });

  test('of an endpoint that has gone meanwhile change nothing', async () => {
    const host = await appHost();
    const facts = host.docker.facts.get('web-app');
    assert.ok(facts);
    await host.endpoints.resolve('web-app', facts);
    assert.deepEqual(host.endpoints.list(), []);
    assert.deepEqual([...host.identities.held.keys()], []);
  });
});
