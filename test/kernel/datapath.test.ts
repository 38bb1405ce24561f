/** Endpoints on the real kernel: made, taken over from a killed process, gone without a trace. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ctEntrySize, decodeCtEntry } from '../../bpf/index.ts';
import { tearDownHost } from '../../datapath/index.ts';
import type { Datapath } from '../../datapath/index.ts';
import { Netlink, programId, readSysctl } from '../../kernel/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { needs } from '../support/needs.ts';
import * as rig from './datapath-rig.ts';
import { scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const ROUTE_TABLE = 210;
const netlink = Netlink.open();

function pins(bpffs: string): string[] {
  return readdirSync(join(bpffs, 'weir', 'links'));
}

/** What is in the maps and among the pins on account of endpoints and their policy. */
function inKernel({ object, policyMap }: Datapath, bpffs: string): object {
  const { maps } = object;
  return {
    endpoints: [...maps.endpoint.entries()].length,
    devices: [...maps.device.entries()].length,
    subjects: new Set([...maps.policy.entries()].map(([key]) => key.subject)).size,
    policyEntries: policyMap.size,
    connections: [...maps.ct.entries()].length,
    translations: [...maps.nat.entries()].length,
    pins: pins(bpffs),
  };
}

/** A connection of an endpoint with the world, as the datapath notes it. */
function connect({ object }: Datapath, address: string): void {
  const expires = 2 ** 31;
  const world = '203.0.113.1';
  const entry = { ...decodeCtEntry(Buffer.alloc(ctEntrySize)), expires };
  const key = {
    low: address,
    high: world,
    lowPort: 40000,
    highPort: 443,
    protocol: 6,
    highAsks: 0,
    message: 0,
  };
  object.maps.ct.set(key, entry);
  const outside = { remote: world, remotePort: 443, local: '192.0.2.7', localPort: 61000, protocol: 6 };
  object.maps.nat.set(outside, { address, port: 40000, expires });
}

test('an endpoint is made shut, opened with its identity, and goes without a trace', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  const before = { network: rig.network(netlink), kernel: inKernel(datapath, bpffs.path) };
  const made = await datapath.createEndpoint(rig.specOf(1));
  const { index, ...link } = netlink.link(made.hostInterface)!;
  assert.deepEqual([link.up, link.kind, link.mtu], [false, 'veth', 1500]);
  assert.equal(netlink.link(made.containerInterface)?.mac, rig.specOf(1).mac);
  assert.deepEqual(netlink.routes(ROUTE_TABLE), []);
  assert.equal(datapath.object.maps.endpoint.get('10.210.0.10'), undefined);
  await datapath.activateEndpoint('endpoint-1', rig.ownerOf(1));
  assert.equal(netlink.link(index)?.up, true);
  const routes = netlink.routes(ROUTE_TABLE).map(({ destination, ifindex, source }) => {
    return { destination, ifindex, source };
  });
  assert.deepEqual(routes, [
    { destination: '10.210.0.10/32', ifindex: index, source: rig.NODE },
    { destination: 'fd00:210::10/128', ifindex: index, source: rig.NODE6 },
  ]);
  const { mac } = rig.specOf(1);
  const neighbours = netlink.neighbours().filter(({ ifindex, permanent }) => ifindex === index && permanent);
  const known = new Map(neighbours.map((neighbour) => [neighbour.address, neighbour.mac]));
  assert.deepEqual([known.get('10.210.0.10'), known.get('fd00:210::10')], [mac, mac]);
  for (const family of [4, 6] as const)
    assert.ok(netlink.rules(family).some(({ table, priority }) => table === ROUTE_TABLE && priority < 32766));
  assert.deepEqual(
    ['disable_ipv6', 'accept_ra', 'accept_redirects', 'forwarding'].map((name) =>
      readSysctl(`net.ipv6.conf.${made.hostInterface}.${name}`),
    ),
    ['0', '0', '0', '1'],
  );
  assert.ok(!netlink.addresses().some((own) => own.ifindex === index), 'no address of its own');
  assert.equal(readSysctl(`net.ipv4.conf.${made.hostInterface}.rp_filter`), '2');
  const { identity, container, gatewayMac } = datapath.object.maps.endpoint.get('10.210.0.10')!;
  assert.deepEqual([identity, container, gatewayMac], [256, 1, link.mac]);
  connect(datapath, '10.210.0.10');
  await datapath.removeEndpoint('endpoint-1');
  await datapath.endpoints.settled();
  await rig.until('connections have gone', () => [...datapath.object.maps.ct.entries()].length === 0);
  assert.deepEqual({ network: rig.network(netlink), kernel: inKernel(datapath, bpffs.path) }, before);
  await datapath.close();
});

test('a removal that the end of the agent comes upon leaves nothing either', async () => {
  using bpffs = scratchBpffs();
  const datapath = await rig.startDatapath(bpffs.path);
  const before = rig.network(netlink);
  await rig.populate(datapath, 3);
  for (const index of [1, 2, 3]) await datapath.removeEndpoint(`endpoint-${index}`);
  await datapath.close();
  await datapath.close();
  assert.deepEqual(rig.network(netlink), before);
  assert.deepEqual(pins(bpffs.path), []);
});

test(
  'programs are there at once, as filters; when it is quiet as links, and the filters go',
  needs('tcx'),
  async () => {
    using bpffs = scratchBpffs();
    const datapath = await rig.startDatapath(bpffs.path);
    await rig.populate(datapath, 2);
    assert.deepEqual(datapath.object.attached(), []);
    const filters = (): string[] => [1, 2].flatMap((id) => rig.filtersOf(`weir${id}`));
    assert.deepEqual(filters(), ['from_container', 'to_container', 'from_container', 'to_container']);
    await rig.until('links', () => pins(bpffs.path).length === 4 && filters().length === 0, 10_000);
    for (const id of [1, 2]) {
      const ifindex = netlink.link(`weir${id}`)?.index;
      for (const [side, program] of [
        ['ingress', 'from_container'],
        ['egress', 'to_container'],
      ] as const)
        assert.deepEqual(rig.pinnedLink(bpffs.path, `weir${id}-${side}`), {
          ifindex,
          programId: programId(datapath.object.program(program)),
        });
    }
    for (const index of [1, 2]) await datapath.removeEndpoint(`endpoint-${index}`);
    await datapath.close();
    assert.deepEqual(pins(bpffs.path), []);
  },
);

/** Lets another process make endpoints and kills it some time after. */
async function runAndKill(bpffs: string, count: number, afterMs: number): Promise<void> {
  const file = fileURLToPath(new URL('./datapath-process.js', import.meta.url));
  const other = fork(file, [bpffs, String(count)], { execArgv: ['--enable-source-maps'] });
  const ended = once(other, 'exit');
  await Promise.race([once(other, 'message'), ended]);
  assert.equal(other.exitCode, null, 'it came up');
  await sleep(afterMs);
  other.kill('SIGKILL');
  await ended;
}

for (const [when, afterMs, options] of [
  ['at once', 0, {}],
  ['when its programs are links', 3_500, needs('tcx')],
] as const) {
  test(
    `of an agent that is killed ${when} the next one takes over everything, and orphans go`,
    options,
    async () => {
      using bpffs = scratchBpffs();
      await tearDownHost(netlink);
      const before = rig.network(netlink);
      await runAndKill(bpffs.path, 3, afterMs);
      const datapath = rig.openDatapath(bpffs.path);
      const { maps } = datapath.object;
      const generation = maps.config.get(0)?.generation ?? 0;
      const checkInForce = (): void => {
        const now = maps.config.get(0)?.generation;
        const subjects = [...maps.policy.entries()].filter(([key]) => key.generation === now);
        assert.ok(subjects.some(([{ subject }]) => subject === 256));
        assert.ok([...maps.ipcache.entries()].some(([, { identity }]) => identity > 0xffffff));
        assert.equal(maps.endpoint.get('10.210.0.10')?.identity, 256);
        assert.equal(netlink.link('weir1')?.up, true);
        assert.ok(rig.filtersOf('weir1').length === 2 || rig.pinnedLink(bpffs.path, 'weir1-ingress'));
      };
      checkInForce();
      await datapath.start();
      checkInForce();
      datapath.enforcement.apply(rig.RULES);
      for (const index of [1, 2]) {
        const { endpointId } = await datapath.createEndpoint(rig.specOf(index, index));
        assert.equal(endpointId, index);
        checkInForce();
        await datapath.activateEndpoint(`endpoint-${index}`, rig.ownerOf(index));
        checkInForce();
      }
      assert.equal(maps.config.get(0)?.generation, generation);
      await datapath.commit();
      checkInForce();
      assert.equal(maps.config.get(0)?.generation, generation + 1);
      assert.equal(netlink.link('weir3'), undefined);
      assert.equal(maps.endpoint.get('10.210.0.12'), undefined);
      assert.ok(!datapath.object.attached().includes('weir3'));
      assert.ok(
        [...maps.policy.entries()].every(([key]) => key.subject !== 258 && key.generation > generation),
      );
      const program = programId(datapath.object.program('from_container'));
      const isOurs = (): boolean => rig.inForce(bpffs.path, 'weir1', 'ingress')?.programId === program;
      await rig.until('this process has its own programs in place', isOurs);
      for (const index of [1, 2]) await datapath.removeEndpoint(`endpoint-${index}`);
      await datapath.close();
      assert.deepEqual(pins(bpffs.path), []);
      await tearDownHost(netlink);
      assert.deepEqual(rig.network(netlink), before);
    },
  );
}
