import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EndpointView } from './endpoint.ts';
import { appHost, type FakeHost, fakeHost } from './fakes.ts';

const FIVE = { ipv4: '10.210.0.5' };

/** Numbers of identities are the allocator's; the fake one starts anew. */
function withoutNumber(view: EndpointView): object {
  return { ...view, identity: 'any' };
}

function assertEmpty(host: FakeHost): void {
  assert.deepEqual(host.endpoints.list(), []);
  assert.deepEqual([...host.datapath.specs.keys()], []);
  assert.deepEqual([...host.identities.held.keys()], []);
  assert.deepEqual(
    [...host.records.kept.keys()].filter((key) => key.startsWith('endpoints/')),
    [],
  );
}

describe('a start', () => {
  test('makes the endpoint, gives it the identity of its labels and network, and answers the interface', async () => {
    const host = await appHost();
    const answer = await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    assert.deepEqual(answer, {
      InterfaceName: { SrcName: 'wc1', DstPrefix: 'eth' },
      Gateway: '169.254.1.1',
      StaticRoutes: [{ Destination: '169.254.1.1/32', RouteType: 1, NextHop: '' }],
      DisableGatewayService: true,
    });
    const [view] = host.endpoints.list();
    assert.deepEqual(view, {
      key: 'web-app',
      endpointId: 1,
      hostInterface: 'weir1',
      networkId: 'n-app',
      network: 'app',
      containerId: 'id-of-web',
      containerName: 'web',
      ipv4: '10.210.0.5',
      ipv6: '',
      mac: '02:77:0a:d2:00:05',
      identity: 256,
      labels: ['container:id=web', 'weir:network=app'],
      ports: [],
      state: 'ready',
      audit: false,
    });
    const owner = {
      containerId: 'id-of-web',
      containerName: 'web',
      identity: 256,
      spaces: [2],
      noWorld: false,
    };
    assert.deepEqual(host.datapath.owners.get('web-app'), owner);
  });

  test('writes once when it is made and once when it joins', async () => {
    const host = await appHost();
    const before = host.records.writes;
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    assert.equal(host.records.writes - before, 2);
  });

  test('keeps the MAC address that the user gave', async () => {
    const host = await appHost();
    const mac = '02:11:22:33:44:55';
    const request = {
      networkId: 'n-app',
      endpointId: 'web-app',
      place: FIVE,
      mac,
    };
    assert.equal(await host.endpoints.create(request), mac);
    assert.equal(host.datapath.specs.get('web-app')?.mac, mac);
  });

  test('passes nothing before Join', async () => {
    const host = await appHost();
    await host.endpoints.create({
      networkId: 'n-app',
      endpointId: 'web-app',
      place: FIVE,
    });
    assert.deepEqual(host.datapath.calls, ['create web-app']);
    assert.equal(host.endpoints.list()[0]?.state, 'creating');
  });

  test('may repeat each call with the same outcome', async () => {
    const host = await appHost();
    const request = {
      networkId: 'n-app',
      endpointId: 'web-app',
      place: FIVE,
    };
    assert.equal(await host.endpoints.create(request), await host.endpoints.create(request));
    const join = { networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' };
    const [first, second] = await Promise.all([host.endpoints.join(join), host.endpoints.join(join)]);
    assert.deepEqual(first, second);
    assert.deepEqual(host.datapath.calls, ['create web-app', 'activate web-app 256']);
  });
});

describe('a start is refused', () => {
  test('with an address that another endpoint has, naming its container', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    const request = {
      networkId: 'n-db',
      endpointId: 'e2',
      place: FIVE,
    };
    await assert.rejects(host.endpoints.create(request), {
      code: 'ADDRESS_IN_USE',
      message: /10\.210\.0\.5 .*container web/,
    });
    assert.equal(host.endpoints.list().length, 1);
  });

  test('not where the other endpoint was abandoned before any container used it', async () => {
    const host = await appHost();
    const request = {
      networkId: 'n-app',
      endpointId: 'lost',
      place: FIVE,
    };
    await host.endpoints.create(request);
    await host.endpoints.create({ ...request, endpointId: 'web-app' });
    assert.deepEqual([...host.datapath.specs.keys()], ['web-app']);
    assert.deepEqual(
      host.endpoints.list().map((endpoint) => endpoint.key),
      ['web-app'],
    );
    const both = ['e1', 'e2'].map((endpointId) =>
      host.endpoints.create({ ...request, endpointId, place: { ipv4: '10.210.0.9' } }),
    );
    assert.deepEqual(
      (await Promise.allSettled(both)).map((result) => result.status),
      ['fulfilled', 'rejected'],
    );
  });

  test('on an unknown network, for an unknown endpoint, or into a second container', async () => {
    const host = await appHost();
    const request = {
      networkId: 'n-x',
      endpointId: 'e1',
      place: FIVE,
    };
    await assert.rejects(host.endpoints.create(request), { code: 'NETWORK_UNKNOWN' });
    const join = { networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' };
    await assert.rejects(host.endpoints.join(join), { code: 'ENDPOINT_UNKNOWN' });
    assertEmpty(host);
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await assert.rejects(host.endpoints.join({ ...join, sandbox: '/ns/other' }), { code: 'ENDPOINT_BUSY' });
    await assert.rejects(host.endpoints.join({ ...join, networkId: 'n-db' }), { code: 'ENDPOINT_UNKNOWN' });
  });

  test('on a ninth network', async () => {
    const host = fakeHost();
    for (let i = 0; i < 9; i++) await host.network(`n${i}`);
    for (let i = 0; i < 8; i++) await host.run(`e${i}`, `n${i}`, `10.210.0.${i + 2}`, '/ns/web');
    await assert.rejects(host.run('e8', 'n8', '10.210.0.99', '/ns/web'), { code: 'TOO_MANY_NETWORKS' });
    assert.equal(host.endpoints.list().find((endpoint) => endpoint.key === 'e8')?.state, 'creating');
    assert.equal(host.datapath.owners.size, 8);
    await host.endpoints.leave('e0');
    const { Gateway } = await host.endpoints.join({ networkId: 'n8', endpointId: 'e8', sandbox: '/ns/web' });
    assert.equal(Gateway, '169.254.1.9');
  });
});

describe('a failure is undone', () => {
  for (const what of ['record', 'create'] as const) {
    test(`where the ${what} fails in CreateEndpoint`, async () => {
      const host = await appHost();
      if (what === 'record') host.records.failing = true;
      else host.datapath.failing = 'create';
      await assert.rejects(host.run('web-app', 'n-app', '10.210.0.5', '/ns/web'), /fails|disk full/);
      host.records.failing = false;
      host.datapath.failing = undefined;
      assertEmpty(host);
      await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    });
  }

  test('where the datapath fails in Join: the endpoint is as it was made, its siblings are as they were', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.endpoints.create({
      networkId: 'n-db',
      endpointId: 'web-db',
      place: { ipv4: '10.210.0.6' },
    });
    const activate = host.datapath.activateEndpoint.bind(host.datapath);
    host.datapath.activateEndpoint = (key, owner) =>
      key === 'web-db' ? Promise.reject(new Error('no memory')) : activate(key, owner);
    await assert.rejects(
      host.endpoints.join({ networkId: 'n-db', endpointId: 'web-db', sandbox: '/ns/web' }),
      /no memory/,
    );
    assert.deepEqual(host.datapath.owners.get('web-app')?.spaces, [2]);
    assert.deepEqual([...host.identities.held], [['web-app', 256]]);
    assert.equal(host.endpoints.list()[1]?.state, 'creating');
  });

  test('where a removal fails, the endpoint is left for another try and keeps its address', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    host.datapath.failing = 'remove';
    await assert.rejects(host.endpoints.remove('web-app'), /remove fails/);
    const request = {
      networkId: 'n-app',
      endpointId: 'e2',
      place: FIVE,
    };
    await assert.rejects(host.endpoints.create(request), { code: 'ADDRESS_IN_USE' });
    host.datapath.failing = undefined;
    await host.endpoints.remove('web-app');
    assertEmpty(host);
  });
});

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
    await host.endpoints.create({
      networkId: 'n-app',
      endpointId: 'web-app',
      place: FIVE,
    });
    const join = host.endpoints.join({ networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' });
    await Promise.all([join, host.endpoints.leave('web-app'), host.endpoints.remove('web-app')]);
    assert.deepEqual(host.datapath.calls, ['create web-app', 'activate web-app 256', 'remove web-app']);
    assertEmpty(host);
  });

  test('of one network while another is joined settles on what remains', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await host.endpoints.create({
      networkId: 'n-db',
      endpointId: 'web-db',
      place: { ipv4: '10.210.0.6' },
    });
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
    for (const endpoint of host.endpoints.list()) {
      assert.deepEqual(endpoint.labels, [`container:id=${endpoint.key}`, 'weir:network=app']);
    }
    await Promise.all(names.flatMap((name) => [host.endpoints.leave(name), host.endpoints.remove(name)]));
    assertEmpty(host);
  });
});

describe('after a restart', () => {
  test('everything is as it was, without Docker', async () => {
    const before = await appHost();
    await before.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await before.run('web-db', 'n-db', '10.210.0.6', '/ns/web');
    const after = fakeHost(before.records);
    after.docker.isSilent = true;
    await after.networks.load();
    await after.endpoints.restore();
    assert.deepEqual(after.endpoints.list().map(withoutNumber), before.endpoints.list().map(withoutNumber));
    assert.deepEqual(
      [...after.datapath.owners.values()].map((owner) => owner.spaces),
      [
        [2, 3],
        [2, 3],
      ],
    );
    assert.deepEqual(after.datapath.calls.slice(0, 2), ['create web-app', 'create web-db']);
    assert.equal(after.docker.asked, 0);
  });

  test('what was only made stays so, and what cannot be made again is not forgotten', async () => {
    const before = await appHost();
    await before.endpoints.create({
      networkId: 'n-app',
      endpointId: 'web-app',
      place: FIVE,
    });
    const after = fakeHost(before.records);
    await after.networks.load();
    after.datapath.failing = 'create';
    await after.endpoints.restore();
    assert.equal(after.endpoints.list()[0]?.state, 'creating');
    assert.equal(after.records.kept.has('endpoints/web-app'), true);
  });

  test('an endpoint whose network is not on record is still told, and harms no other', async () => {
    const before = await appHost();
    await before.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    before.docker.tell('api-db', 'db', 'api');
    await before.run('api-db', 'n-db', '10.210.0.6', '/ns/api');
    before.records.kept.delete('networks/n-app');
    const after = fakeHost(before.records);
    await after.networks.load();
    await after.endpoints.restore();
    const states = after.endpoints.list().map(({ key, network, state }) => [key, network, state]);
    assert.deepEqual(states, [
      ['web-app', 'n-app', 'restoring'],
      ['api-db', 'db', 'ready'],
    ]);
  });

  test('a container without labels yet stays init until Docker answers', async () => {
    const before = await appHost();
    before.docker.isSilent = true;
    await before.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    const after = fakeHost(before.records);
    await after.networks.load();
    await after.endpoints.restore();
    assert.equal(after.datapath.owners.get('web-app')?.identity, 5);
    assert.equal(after.endpoints.list()[0]?.state, 'waiting-for-identity');
  });
});

test('audit is the endpoint’s own: in force at once, kept over a restart, gone with the endpoint', async () => {
  const host = await appHost();
  await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
  await host.endpoints.setAudit('web-app', true);
  assert.equal(host.datapath.owners.get('web-app')?.audit, true);
  const after = fakeHost(host.records);
  await after.networks.load();
  await after.endpoints.restore();
  assert.equal(after.datapath.owners.get('web-app')?.audit, true);
  assert.equal(after.endpoints.list()[0]?.audit, true);
  await after.endpoints.setAudit('web-app', false);
  assert.equal(after.datapath.owners.get('web-app')?.audit, undefined);
  await after.endpoints.setAudit('web-app', true);
  await after.endpoints.leave('web-app');
  await after.endpoints.remove('web-app');
  await after.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
  assert.equal(after.endpoints.list()[0]?.audit, false);
  await assert.rejects(after.endpoints.setAudit('nobody', true), { code: 'ENDPOINT_UNKNOWN' });
});

test('a rename reaches the datapath and the record', async () => {
  const host = await appHost();
  await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
  await host.endpoints.rename('id-of-web', 'front');
  assert.equal(host.datapath.owners.get('web-app')?.containerName, 'front');
  assert.match(JSON.stringify(host.records.kept.get('endpoints/web-app')), /"name":"front"/);
});

test('an endpoint has rested when no call runs and its time is up', async () => {
  const host = await appHost();
  assert.equal(host.endpoints.hasRested('web-app', 0), false);
  await host.endpoints.create({
    networkId: 'n-app',
    endpointId: 'web-app',
    place: FIVE,
  });
  assert.equal(host.endpoints.hasRested('web-app', 0), true);
  const join = host.endpoints.join({ networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' });
  assert.equal(host.endpoints.hasRested('web-app', 0), false);
  await join;
  assert.equal(host.endpoints.hasRested('web-app', 30_000), false);
  host.pass(30_000);
  assert.equal(host.endpoints.hasRested('web-app', 30_000), true);
});
