import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertEmpty } from './assert-empty.ts';
import { appHost, fakeHost } from './fakes.ts';

const FIVE = { ipv4: '10.210.0.5' };
const WEB_APP = { networkId: 'n-app', endpointId: 'web-app', place: FIVE };
const JOIN = { networkId: 'n-app', endpointId: 'web-app', sandbox: '/ns/web' };

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
    assert.equal(await host.endpoints.create({ ...WEB_APP, mac }), mac);
    assert.equal(host.datapath.specs.get('web-app')?.mac, mac);
  });

  test('passes nothing before Join', async () => {
    const host = await appHost();
    await host.endpoints.create(WEB_APP);
    assert.deepEqual(host.datapath.calls, ['create web-app']);
    assert.equal(host.endpoints.list()[0]?.state, 'creating');
  });

  test('may repeat each call with the same outcome', async () => {
    const host = await appHost();
    assert.equal(await host.endpoints.create(WEB_APP), await host.endpoints.create(WEB_APP));
    const [first, second] = await Promise.all([host.endpoints.join(JOIN), host.endpoints.join(JOIN)]);
    assert.deepEqual(first, second);
    assert.deepEqual(host.datapath.calls, ['create web-app', 'activate web-app 256']);
  });
});

describe('a start is refused', () => {
  test('with an address that another endpoint has, naming its container', async () => {
    const host = await appHost();
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    const request = { networkId: 'n-db', endpointId: 'e2', place: FIVE };
    await assert.rejects(host.endpoints.create(request), {
      code: 'ADDRESS_IN_USE',
      message: /10\.210\.0\.5 .*container web/,
    });
    assert.equal(host.endpoints.list().length, 1);
  });

  test('not where the other endpoint was abandoned before any container used it', async () => {
    const host = await appHost();
    const request = { networkId: 'n-app', endpointId: 'lost', place: FIVE };
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
    const request = { networkId: 'n-x', endpointId: 'e1', place: FIVE };
    await assert.rejects(host.endpoints.create(request), { code: 'NETWORK_UNKNOWN' });
    await assert.rejects(host.endpoints.join(JOIN), { code: 'ENDPOINT_UNKNOWN' });
    assertEmpty(host);
    await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
    await assert.rejects(host.endpoints.join({ ...JOIN, sandbox: '/ns/other' }), { code: 'ENDPOINT_BUSY' });
    await assert.rejects(host.endpoints.join({ ...JOIN, networkId: 'n-db' }), { code: 'ENDPOINT_UNKNOWN' });
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
    await host.endpoints.create({ networkId: 'n-db', endpointId: 'web-db', place: { ipv4: '10.210.0.6' } });
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
    const request = { networkId: 'n-app', endpointId: 'e2', place: FIVE };
    await assert.rejects(host.endpoints.create(request), { code: 'ADDRESS_IN_USE' });
    host.datapath.failing = undefined;
    await host.endpoints.remove('web-app');
    assertEmpty(host);
  });
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
  await host.endpoints.create(WEB_APP);
  assert.equal(host.endpoints.hasRested('web-app', 0), true);
  const join = host.endpoints.join(JOIN);
  assert.equal(host.endpoints.hasRested('web-app', 0), false);
  await join;
  assert.equal(host.endpoints.hasRested('web-app', 30_000), false);
  host.pass(30_000);
  assert.equal(host.endpoints.hasRested('web-app', 30_000), true);
});
