import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortRequest } from './contract.ts';
import { type FakeHost, fakeHost } from './fakes.ts';

const web: PortRequest = { protocol: 'tcp', port: 80, hostAddress: '', hostPort: 8080, hostPortEnd: 8080 };
const ids = { networkId: 'n-app', endpointId: 'e1' };

/** A host with one running container, endpoint e1. */
async function running(options: Record<string, string> = {}): Promise<FakeHost> {
  const host = fakeHost();
  await host.network('n-app', options);
  host.docker.tell('e1', 'app', 'web');
  await host.run('e1', 'n-app', '10.210.0.5', '/ns/web');
  return host;
}

function portsOf(host: FakeHost): number[] {
  return host.endpoints.list().flatMap(({ ports }) => ports.map(({ hostPort }) => hostPort));
}

test('a published port is durable, shown, and the same for a repeated call', async () => {
  const host = await running();
  await host.endpoints.publish({ ...ids, ports: [web] });
  await host.endpoints.publish({ ...ids, ports: [web] });
  assert.deepEqual(host.datapath.calls.slice(2), ['publish e1 8080']);
  assert.deepEqual(portsOf(host), [8080]);
  const after = fakeHost(host.records);
  await after.networks.load();
  await after.endpoints.restore();
  assert.deepEqual(portsOf(after), [8080]);
  assert.deepEqual(after.datapath.ports.get('e1'), host.datapath.ports.get('e1'));
});

test('a port that is taken back is gone, also after a restart', async () => {
  const host = await running();
  await host.endpoints.publish({ ...ids, ports: [web] });
  await host.endpoints.unpublish('e1');
  await host.endpoints.unpublish('e1');
  await host.endpoints.unpublish('never-there');
  assert.deepEqual([portsOf(host), host.datapath.ports.size], [[], 0]);
  const after = fakeHost(host.records);
  await after.networks.load();
  await after.endpoints.restore();
  assert.deepEqual(portsOf(after), []);
});

test('a port whose end cannot be written down stays, and may be taken back later', async () => {
  const host = await running();
  await host.endpoints.publish({ ...ids, ports: [web] });
  const before = host.datapath.ports.get('e1');
  host.records.failing = true;
  await assert.rejects(host.endpoints.unpublish('e1'), /disk full/);
  assert.deepEqual([portsOf(host), host.datapath.ports.get('e1')], [[8080], before]);
  host.records.failing = false;
  await host.endpoints.unpublish('e1');
  const after = fakeHost(host.records);
  await after.networks.load();
  await after.endpoints.restore();
  assert.deepEqual([portsOf(after), host.datapath.ports.size], [[], 0]);
});

test('what cannot be published leaves the endpoint without ports', async () => {
  const host = await running();
  host.datapath.failing = 'publish';
  await assert.rejects(host.endpoints.publish({ ...ids, ports: [web] }), /publish fails/);
  assert.deepEqual(portsOf(host), []);
});

test('what cannot be written down is not published', async () => {
  const host = await running();
  host.records.failing = true;
  await assert.rejects(host.endpoints.publish({ ...ids, ports: [web] }), /disk full/);
  assert.deepEqual([portsOf(host), host.datapath.ports.size], [[], 0]);
});

test('a network that ignores ports publishes none', async () => {
  const host = await running({ 'weir.ports': 'ignore' });
  await host.endpoints.publish({ ...ids, ports: [web] });
  assert.deepEqual(portsOf(host), []);
});

test('a network from before there were published ports publishes them', async () => {
  const host = await running();
  const record = host.records.kept.get('networks/n-app') as object;
  host.records.kept.set('networks/n-app', { ...record, ports: 'refuse' });
  const endpoint = host.records.kept.get('endpoints/e1') as { ports?: unknown };
  delete endpoint.ports;
  const after = fakeHost(host.records);
  await after.networks.load();
  await after.endpoints.restore();
  await after.endpoints.publish({ ...ids, ports: [web] });
  assert.deepEqual(portsOf(after), [8080]);
});

test('ports of an endpoint that nobody knows, or of another network, are refused', async () => {
  const host = await running();
  await assert.rejects(host.endpoints.publish({ ...ids, endpointId: 'e9', ports: [web] }), {
    code: 'ENDPOINT_UNKNOWN',
  });
  await assert.rejects(host.endpoints.publish({ ...ids, networkId: 'n-db', ports: [web] }), {
    code: 'ENDPOINT_UNKNOWN',
  });
});
