/** Maps and disks that are full: refused in one line, nothing by half, and everything goes on. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { describeError } from '../../base/index.ts';
import { ctEntrySize, decodeCtEntry } from '../../bpf/index.ts';
import { parsePolicy } from '../../policy/index.ts';
import type { Datapath } from '../../datapath/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import * as rig from './datapath-rig.ts';
import { scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const SMALL = 256;

function ranges(count: number): ReturnType<typeof parsePolicy> {
  const fromCIDR = Array.from(
    { length: count },
    (_, index) => `198.18.${Math.floor(index / 256)}.${index % 256}/32`,
  );
  const rule = { endpointSelector: { matchLabels: { id: '256' } }, ingress: [{ fromCIDR }] };
  return parsePolicy(JSON.stringify([rule]), 'policy.json');
}

/** Everything that packets are judged by. */
function inForce({ object: { maps } }: Datapath): object {
  const generation = maps.config.get(0)?.generation;
  const policy = [...maps.policy.entries()].filter(([key]) => key.generation === generation);
  const text = (entries: Iterable<unknown>): string[] =>
    [...entries].map((item) => JSON.stringify(item)).sort();
  return {
    generation,
    policy: text(policy),
    ipcache: text(maps.ipcache.entries()),
    endpoints: text(maps.endpoint.entries()),
  };
}

for (const [map, name] of [
  ['weir_ipcache', 'addresses'],
  ['weir_policy', 'policy'],
] as const)
  test(`a policy for which the map of ${name} has no room is refused, and the one in force stays`, async () => {
    using bpffs = scratchBpffs();
    const datapath = await rig.startDatapath(bpffs.path, { mapSizes: { [map]: SMALL } });
    await rig.populate(datapath, 1);
    datapath.enforcement.apply(ranges(20));
    const before = inForce(datapath);
    let said = '';
    try {
      datapath.enforcement.apply(ranges(600));
    } catch (error) {
      said = describeError(error);
    }
    assert.match(
      said,
      /^(update map weir_ipcache: ENOSPC .*--bpf-map-size ipcache|policy comes to 60\d entries)/,
    );
    assert.deepEqual(inForce(datapath), before);
    datapath.enforcement.apply(ranges(40));
    await datapath.removeEndpoint('endpoint-1');
    await datapath.close();
  });

test('an endpoint for which there is no room is refused, and those that are there stay', async () => {
  using bpffs = scratchBpffs();
  const mapSizes = { weir_device: 3 };
  const datapath = await rig.startDatapath(bpffs.path, { mapSizes });
  await rig.populate(datapath, 3);
  const before = inForce(datapath);
  await assert.rejects(datapath.createEndpoint(rig.specOf(4)), {
    code: 'MAP_FULL',
    message: /^update map weir_device: E2BIG \(all 3 entries are in use\)$/,
    hint: /--bpf-map-size device=/,
  });
  assert.equal(datapath.endpoints.list().length, 3);
  assert.deepEqual(inForce(datapath), before);
  await datapath.removeEndpoint('endpoint-3');
  await datapath.createEndpoint(rig.specOf(4));
  await datapath.close();
});

test('larger maps are a matter of the next start: what is in them stays', async () => {
  using bpffs = scratchBpffs();
  const first = await rig.startDatapath(bpffs.path, { mapSizes: { weir_ct: 512 } });
  await rig.populate(first, 1);
  const key = {
    low: '10.210.0.10',
    high: '203.0.113.1',
    lowPort: 1,
    highPort: 443,
    protocol: 6,
    highAsks: 0,
    message: 0,
  };
  first.object.maps.ct.set(key, { ...decodeCtEntry(Buffer.alloc(ctEntrySize)), expires: 2 ** 31 });
  await first.close();
  const second = rig.openDatapath(bpffs.path, { mapSizes: { weir_ct: 4096 } });
  await rig.adopt(second, [1], []);
  assert.equal(second.object.maps.ct.map.maxEntries, 4096);
  assert.equal(second.object.maps.ct.get(key)?.expires, 2 ** 31);
  await second.removeEndpoint('endpoint-1');
  await second.close();
});
