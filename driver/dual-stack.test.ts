import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fakeHost, type FakeHost } from './fakes.ts';

/** A host with a network of both families, and containers that Docker knows. */
async function dualHost(): Promise<FakeHost> {
  const host = fakeHost();
  await host.network('n-dual', {}, { pool6: 'fd00:210::/64' });
  for (const name of ['dual', 'six', 'four']) host.docker.tell(`web-${name}`, 'dual', name);
  return host;
}

describe('a container with IPv6', () => {
  const BOTH = { ipv4: '10.210.0.5', ipv6: 'fd00:210::5' };

  test('gets a next hop for each family, and only of the families it has', async () => {
    const host = await dualHost();
    const dual = await host.run('web-dual', 'n-dual', BOTH, '/ns/web');
    assert.deepEqual([dual.Gateway, dual.GatewayIPv6], ['169.254.1.1', 'fe80::1']);
    assert.deepEqual(
      dual.StaticRoutes.map((route) => route.Destination),
      ['169.254.1.1/32', 'fe80::1/128'],
    );
    const six = await host.run('web-six', 'n-dual', { ipv6: 'fd00:210::6' }, '/ns/six');
    // the link has a route to it, but dockerd may look before it is there
    const hop = { Destination: 'fe80::1/128', RouteType: 1, NextHop: '' };
    assert.deepEqual([six.Gateway, six.GatewayIPv6, six.StaticRoutes], [undefined, 'fe80::1', [hop]]);
    const four = await host.run('web-four', 'n-dual', '10.210.0.7', '/ns/four');
    assert.deepEqual([four.Gateway, four.GatewayIPv6], ['169.254.1.1', undefined]);
    const { ipv4, ipv6, network } = host.datapath.specs.get('web-dual') ?? {};
    assert.deepEqual([ipv4, ipv6, network?.gateway6], ['10.210.0.5', 'fd00:210::5', 'fe80::1']);
    assert.deepEqual(
      host.endpoints.list().map((view) => [view.ipv4, view.ipv6, view.mac]),
      [
        ['10.210.0.5', 'fd00:210::5', '02:77:0a:d2:00:05'],
        ['', 'fd00:210::6', '02:77:00:00:00:06'],
        ['10.210.0.7', '', '02:77:0a:d2:00:07'],
      ],
    );
  });

  test('shares neither of its addresses, and is the same when it is made again', async () => {
    const host = await dualHost();
    await host.run('web-dual', 'n-dual', BOTH, '/ns/web');
    const request = { networkId: 'n-dual', endpointId: 'other', publishesPorts: false };
    for (const place of [{ ipv6: BOTH.ipv6 }, { ipv4: BOTH.ipv4 }])
      await assert.rejects(host.endpoints.create({ ...request, place }), { code: 'ADDRESS_IN_USE' });
    const again = { ...request, endpointId: 'web-dual' };
    assert.equal(await host.endpoints.create({ ...again, place: BOTH }), '02:77:0a:d2:00:05');
    await assert.rejects(host.endpoints.create({ ...again, place: { ipv4: BOTH.ipv4 } }), {
      code: 'ENDPOINT_BUSY',
    });
  });

  test('is restored with both addresses', async () => {
    const host = await dualHost();
    await host.run('web-dual', 'n-dual', BOTH, '/ns/web');
    const next = fakeHost(host.records);
    await next.networks.load();
    await next.endpoints.restore();
    const { ipv4, ipv6, endpointId } = next.datapath.specs.get('web-dual') ?? {};
    assert.deepEqual([ipv4, ipv6, endpointId], ['10.210.0.5', 'fd00:210::5', 1]);
  });
});
