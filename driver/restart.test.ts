import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EndpointView } from './endpoint.ts';
import { appHost, type FakeHost, fakeHost } from './fakes.ts';

/** Numbers of identities are the allocator's; the fake one starts anew. */
function withoutNumber(view: EndpointView): object {
  return { ...view, identity: 'any' };
}

/** Another agent over the same records. */
async function restarted({ records }: FakeHost): Promise<FakeHost> {
  const host = fakeHost(records);
  await host.networks.load();
  await host.endpoints.restore();
  return host;
}

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
      place: { ipv4: '10.210.0.5' },
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
    const after = await restarted(before);
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
    const after = await restarted(before);
    assert.equal(after.datapath.owners.get('web-app')?.identity, 5);
    assert.equal(after.endpoints.list()[0]?.state, 'waiting-for-identity');
  });
});

test('audit is the endpoint’s own: in force at once, kept over a restart, gone with the endpoint', async () => {
  const host = await appHost();
  await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
  await host.endpoints.setAudit('web-app', true);
  assert.equal(host.datapath.owners.get('web-app')?.audit, true);
  const after = await restarted(host);
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

test('audit that cannot be written down is not in force', async () => {
  const host = await appHost();
  await host.run('web-app', 'n-app', '10.210.0.5', '/ns/web');
  host.records.failing = true;
  await assert.rejects(host.endpoints.setAudit('web-app', true), /disk full/);
  assert.equal(host.datapath.owners.get('web-app')?.audit, undefined);
  assert.equal(host.endpoints.list()[0]?.audit, false);
});
