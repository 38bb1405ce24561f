/** Health of the agent and of everything it stands on. */
import { describeError } from '../base/index.ts';
import type { api } from '../base/index.ts';
import { withinMs } from '../driver/index.ts';
import { lostEvents } from './bpf-views.ts';
import { fillingsOf } from './map-filling.ts';
import type { Parts } from './parts.ts';

const RANK = { ok: 0, warning: 1, failure: 2 } as const;
/** Docker answers a ping in milliseconds; a status must not wait for one that hangs. */
const PING_MS = 1_000;
/** A policy that does not fit any more is refused: somebody should know before. */
const NEARLY_FULL = 0.8;
/** Of a map's entries. */
const PRESSURE = 0.9;

export async function statusOf(parts: Parts): Promise<api.Status> {
  const asked = docker(parts);
  const components: Record<string, api.Component> = {
    node: node(parts),
    kvstore: await kvstore(parts),
    docker: await asked,
    datapath: datapath(parts),
    maps: maps(parts),
    uplink: uplink(parts),
    services: services(parts),
    ipam: ipam(parts),
    endpoints: endpoints(parts),
    policy: policy(parts),
    monitor: monitor(parts),
  };
  const worst = Object.values(components).reduce<api.Health>(
    (state, item) => (RANK[item.state] > RANK[state] ? item.state : state),
    'ok',
  );
  return { state: worst, components };
}

function node({ config, datapath }: Parts): api.Component {
  const address =
    config.nodeAddress ??
    datapath.uplinks.current[0]?.ipv4 ??
    datapath.uplinks.current[0]?.ipv6 ??
    'no address';
  return { state: 'ok', message: `${config.nodeName}, ${address}` };
}

/** While the disk takes nothing, traffic and policy go on, and changes are refused. */
async function kvstore({ store }: Parts): Promise<api.Component> {
  try {
    await store.probe();
    return { state: 'ok', message: 'embedded, this host only' };
  } catch (error) {
    return { state: 'failure', message: describeError(error) };
  }
}

/** Where connections are recorded, the one that has rested longest gives place; everything else refuses. */
function maps({ datapath }: Parts): api.Component {
  const fillings = fillingsOf(datapath);
  const pressed = fillings.filter(({ used, size }) => used >= size * PRESSURE);
  const details = Object.fromEntries(fillings.map(({ name, used, size }) => [name, `${used}/${size}`]));
  if (pressed.length === 0) return { state: 'ok', message: 'none is nearly full', details };
  const names = pressed.map(({ name, used, size }) => `${name} ${used}/${size}`).join(', ');
  return { state: 'warning', message: `${names}: give them more with --bpf-map-size`, details };
}

async function docker({ docker, config }: Parts): Promise<api.Component> {
  try {
    await withinMs(PING_MS, (signal) => docker.networks(signal));
    return { state: 'ok', message: `answers on ${config.dockerSocket}` };
  } catch {
    return {
      state: 'warning',
      message: `no answer on ${config.dockerSocket}: existing containers keep working, new labels wait`,
    };
  }
}

function datapath({ datapath }: Parts): api.Component {
  const { generation, size, capacity } = datapath.policyMap;
  const isNearlyFull = size > capacity * NEARLY_FULL;
  const attached = `programs attached to ${datapath.endpoints.list().length} endpoints`;
  return {
    state: isNearlyFull ? 'warning' : 'ok',
    message: isNearlyFull ? `${attached}, policy takes ${size} of ${capacity} entries` : attached,
    details: { generation, policyEntries: size, policyCapacity: capacity },
  };
}

function services({ datapath }: Parts): api.Component {
  const ports = `${datapath.services.list().length} ports published`;
  const { socketsRefused } = datapath;
  if (socketsRefused === undefined) return { state: 'ok', message: ports };
  return { state: 'warning', message: `${ports}, not reached by the host itself: ${socketsRefused}` };
}

function uplink({ datapath }: Parts): api.Component {
  const found = datapath.uplinks.current;
  if (found.length === 0)
    return { state: 'warning', message: 'none: containers cannot reach the world; name one with --uplink' };
  const names = found.map(({ name, ipv4, ipv6, mtu }) => {
    const addresses = [ipv4, ipv6].filter(Boolean).join(', ');
    return `${name} (${addresses || 'no address'}, MTU ${mtu})`;
  });
  return {
    state: found.some(({ ipv4, ipv6 }) => (ipv4 ?? ipv6) !== undefined) ? 'ok' : 'warning',
    message: names.join(', '),
  };
}

function ipam({ ipam }: Parts): api.Component {
  const pools = ipam.list();
  const full = pools.filter((pool) => pool.isFull);
  const message =
    pools.map((pool) => `${pool.cidr} ${pool.allocated}${roomOf(pool.capacity)}`).join(', ') ||
    'no pool in use';
  return { state: full.length > 0 ? 'warning' : 'ok', message: `${message} allocated` };
}

/** Nothing for what nobody could use up. */
function roomOf(capacity: number): string {
  return Number.isSafeInteger(capacity) ? `/${capacity}` : '';
}

function endpoints({ endpoints }: Parts): api.Component {
  const list = endpoints.list();
  const waiting = list.filter((endpoint) => endpoint.state === 'waiting-for-identity').length;
  const message = `${list.length} endpoints${waiting > 0 ? `, ${waiting} wait for their labels` : ''}`;
  return { state: waiting > 0 ? 'warning' : 'ok', message };
}

function policy({ policy, config }: Parts): api.Component {
  return {
    state: 'ok',
    message: `revision ${policy.revision}, ${policy.rules.length} rules, mode ${config.policyMode}`,
  };
}

function monitor({ monitor, datapath }: Parts): api.Component {
  const lost = lostEvents(datapath);
  return { state: 'ok', message: `${monitor.subscribers} listeners, ${lost} events lost`, details: { lost } };
}
