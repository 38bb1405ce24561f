import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertEmpty } from './assert-empty.ts';
import { appHost, fakeHost } from './fakes.ts';

describe('a container on several networks', () => {
  test('has one identity over all of them, which changes live with connect and disconnect', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    const both = {
      containerId: 'id-of-web',
      containerName: 'web',
      identity: 257,
      spaces: [2, 3],
      noWorld: false,
    };
    assert.deepEqual([...host.datapath.owners.values()], [both, both]);
    const labels = ['container:id=web', 'weir:network=app', 'weir:network=db'];
    assert.deepEqual(
      host.endpoints.list().map((endpoint) => endpoint.labels),
      [labels, labels],
    );
    await host.endpoints.leave('web-app');
    assert.deepEqual(host.datapath.owners.get('web-db'), { ...both, identity: 258, spaces: [3] });
    await host.endpoints.remove('web-app');
    assert.deepEqual([...host.identities.held], [['web-db', 258]]);
  });

  test('asks Docker only once', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    assert.equal(host.docker.asked, 1);
  });

  test('is kept from the world only where all of them are internal', async () => {
    const host = await appHost({ internal: true });
    await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    assert.equal(host.datapath.owners.get('web-db')?.noWorld, true);
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    assert.deepEqual(
      [...host.datapath.owners.values()].map((owner) => owner.noWorld),
      [false, false],
    );
    await host.endpoints.remove('web-app');
    assert.equal(host.datapath.owners.get('web-db')?.noWorld, true);
  });

  test('gets a gateway for each, also an internal one, and no static route a further address could lie under', async () => {
    const host = await appHost({ internal: true });
    const answers = [
      await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web'),
      await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web'),
    ];
    assert.deepEqual(
      answers.map((answer) => answer.Gateway),
      ['169.254.1.2', '169.254.1.1'],
    );
    assert.deepEqual(
      answers.map((answer) => answer.StaticRoutes.map((route) => route.Destination)),
      [['169.254.1.2/32'], ['169.254.1.1/32']],
    );
  });

  test('two of which are named alike counts as on one', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    await host.endpoints.learnNetwork('n-db', 'app');
    assert.deepEqual(host.datapath.owners.get('web-db')?.spaces, [2]);
    assert.deepEqual(host.endpoints.list()[1]?.labels, ['container:id=web', 'weir:network=app']);
  });
});

describe('leaving', () => {
  test('and removing may be repeated, in any order, and for what never was', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.endpoints.leave('web-app');
    await host.endpoints.leave('web-app');
    assert.equal(host.endpoints.list()[0]?.state, 'disconnecting');
    await host.endpoints.remove('web-app');
    await host.endpoints.remove('web-app');
    await host.endpoints.leave('web-app');
    await host.endpoints.remove('never');
    assertEmpty(host);
  });

  test('during a Join waits for it, and nothing is left behind', async () => {
    const host = await appHost();
    await host.endpoints.create({ networkId: 'n-app', endpointId: 'web-app', place: { ipv4: '10.210.0.5' } });
    const join = host.endpoints.join({ networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' });
    await Promise.all([join, host.endpoints.leave('web-app'), host.endpoints.remove('web-app')]);
    assert.deepEqual(host.datapath.calls, ['create web-app', 'activate web-app 256', 'remove web-app']);
    assertEmpty(host);
  });

  test('of one network while another is joined settles on what remains', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.endpoints.create({ networkId: 'n-db', endpointId: 'web-db', place: { ipv4: '10.210.0.6' } });
    await Promise.all([
      host.endpoints.join({ networkId: 'n-db', endpointId: 'web-db', sandbox: '/ns/web' }),
      host.endpoints.remove('web-app'),
    ]);
    assert.deepEqual(host.datapath.owners.get('web-db')?.spaces, [3]);
    assert.deepEqual([...host.datapath.owners.keys()], ['web-db']);
  });
});

describe('many containers at once', () => {
  test('each get their own labels', async () => {
    const host = fakeHost();
    await host.network('n-app');
    const names = Array.from({ length: 40 }, (_, index) => `c${index}`);
    for (const name of names) host.docker.tell(name, 'app', name, { id: name });
    await Promise.all(
      names.map((name, index) => host.run(name, 'n-app', `10.210.0.${index + 2}`, `/ns/${name}`)),
    );
    const endpoints = host.endpoints.list();
    assert.equal(endpoints.length, names.length);
    for (const endpoint of endpoints) {
      assert.deepEqual(endpoint.labels, [`container:id=${endpoint.key}`, 'weir:network=app']);
    }
    await Promise.all(names.flatMap((name) => [host.endpoints.leave(name), host.endpoints.remove(name)]));
    assertEmpty(host);
  });
});
