import assert from 'node:assert/strict';
import test from 'node:test';
import { HostError } from '../base/index.ts';
import { SIZABLE } from '../bpf/index.ts';
import type { EndpointState } from '../driver/index.ts';
import { partsOf } from './fakes.ts';
import type { Parts } from './parts.ts';
import { statusOf } from './status.ts';

const UPLINK = { ifindex: 2, name: 'eth0', mtu: 1500, ipv4: '192.0.2.7', ipv6: '2001:db8::7' };
const POOL = { cidr: '10.210.0.0/24', allocated: 3, capacity: 254, isFull: false };
const POOL6 = { cidr: 'fd00:210::/64', allocated: 2, capacity: 2 ** 64, isFull: false };

/** Maps of a thousand entries, of which some are in use. */
function fakeMaps(used: number): object {
  const map = { maxEntries: 1000, keys: () => Array.from({ length: used }).values() };
  return Object.fromEntries(SIZABLE.map((name) => [name, { map }]));
}

/** A healthy agent, but for what is said otherwise. */
function parts(change: Record<string, unknown> = {}): Parts {
  const healthy = {
    uplinks: [UPLINK],
    policy: { generation: 7, size: 100, capacity: 1000 },
    pools: [POOL, POOL6],
    endpoints: [{ state: 'ready' as EndpointState }],
    docker: async () => [],
    services: [{}, {}, {}],
    socketsRefused: undefined,
    used: 899,
    probe: async () => {},
    ...change,
  };
  return partsOf({
    config: { dockerSocket: '/run/docker.sock', policyMode: 'default', nodeName: 'host1' },
    docker: { networks: healthy.docker },
    datapath: {
      uplinks: { current: healthy.uplinks },
      services: { list: () => healthy.services },
      socketsRefused: healthy.socketsRefused,
      policyMap: healthy.policy,
      endpoints: { list: () => healthy.endpoints.map(() => ({})) },
      object: { maps: { ...fakeMaps(healthy.used), metrics: { get: () => ({ packets: 4n, bytes: 0n }) } } },
    },
    ipam: { list: () => healthy.pools },
    endpoints: { list: () => healthy.endpoints },
    policy: { revision: 12, rules: [{}, {}] },
    monitor: { subscribers: 1 },
    store: { probe: healthy.probe },
  });
}

test('all is well, and each part says what it stands on', async () => {
  const { state, components } = await statusOf(parts());
  assert.equal(state, 'ok');
  const messages = Object.fromEntries(
    Object.entries(components).map(([name, { message }]) => [name, message]),
  );
  assert.deepEqual(messages, {
    node: 'host1, 192.0.2.7',
    kvstore: 'embedded, this host only',
    docker: 'answers on /run/docker.sock',
    datapath: 'programs attached to 1 endpoints',
    maps: 'none is nearly full',
    uplink: 'eth0 (192.0.2.7, 2001:db8::7, MTU 1500)',
    services: '3 ports published',
    ipam: '10.210.0.0/24 3/254, fd00:210::/64 2 allocated',
    endpoints: '1 endpoints',
    policy: 'revision 12, 2 rules, mode default',
    monitor: '1 listeners, 4 events lost',
  });
  assert.deepEqual(components['datapath']?.details, {
    generation: 7,
    policyEntries: 100,
    policyCapacity: 1000,
  });
});

for (const [what, change, name, message] of [
  [
    'Docker does not answer',
    { docker: () => Promise.reject(new Error('refused')) },
    'docker',
    /no answer on/,
  ],
  ['no uplink', { uplinks: [] }, 'uplink', /none: .*--uplink/],
  [
    'an uplink without an address',
    { uplinks: [{ ifindex: 2, name: 'eth0', mtu: 1500 }] },
    'uplink',
    /no address/,
  ],
  ['a full pool', { pools: [{ ...POOL, isFull: true }] }, 'ipam', /10\.210\.0\.0\/24/],
  [
    'labels that are late',
    { endpoints: [{ state: 'waiting-for-identity' }] },
    'endpoints',
    /1 wait for their labels/,
  ],
  ['maps that are nearly full', { used: 900 }, 'maps', /^ct 900\/1000, .*--bpf-map-size/],
  [
    'a policy map that fills',
    { policy: { generation: 7, size: 801, capacity: 1000 } },
    'datapath',
    /801 of 1000/,
  ],
] as const) {
  test(`${what}: a warning, and the whole is no better than its worst part`, async () => {
    const { state, components } = await statusOf(parts(change));
    assert.equal(state, 'warning');
    assert.equal(components[name]?.state, 'warning');
    assert.match(components[name]?.message ?? '', message);
  });
}

test('a disk that takes nothing is a failure, in one line with what to do', async () => {
  const cause = new Error('ENOSPC: no space left on device');
  const refusal = new HostError('STORE_WRITE', 'write store /state/store.json', { cause, hint: 'make room' });
  const { state, components } = await statusOf(parts({ probe: () => Promise.reject(refusal) }));
  assert.equal(state, 'failure');
  const message = 'write store /state/store.json: ENOSPC: no space left on device (make room)';
  assert.deepEqual(components['kvstore'], { state: 'failure', message });
});

test('a Docker that hangs is waited for a second, not longer', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const hang = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  const status = statusOf(parts({ docker: hang }));
  context.mock.timers.tick(1_000);
  assert.equal((await status).components['docker']?.state, 'warning');
});
