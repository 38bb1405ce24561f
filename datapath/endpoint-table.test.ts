import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '../base/index.ts';
import type { Link } from '../kernel/index.ts';
import type { Place } from './endpoint-device.ts';
import { EndpointTable } from './endpoint-table.ts';
import type { EndpointSpec, EndpointTableOptions, Owner } from './endpoint-table.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';

type Devices = EndpointTableOptions['devices'];

/** Devices that write down what is done to them; `failing` names the step that the kernel refuses. */
class FakeDevices implements Devices {
  readonly log: string[] = [];
  readonly links = new Map<string, Link>();
  failing = '';
  #lastIndex = 100;
  #gone: (() => void)[] = [];

  create(pair: { name: string; peer: string; mac: string; peerMac: string; mtu: number }): number {
    this.#step(`create ${pair.name} ${pair.peer} ${pair.mtu}`);
    const index = ++this.#lastIndex;
    const { name, mac, mtu } = pair;
    this.links.set(name, {
      index,
      name,
      mac,
      mtu,
      up: false,
      carrier: false,
      loopback: false,
      framed: true,
      kind: 'veth',
    });
    return index;
  }

  find(name: string): Link | undefined {
    return this.links.get(name);
  }

  isTaken(name: string): boolean {
    return this.links.has(name);
  }

  async attach({ name }: { name: string }): Promise<void> {
    this.#step(`attach ${name}`);
  }

  open({ ifindex, addresses }: Place): void {
    this.#step(`open ${ifindex} ${addresses.join(' ')}`);
  }

  mend(places: Place[]): void {
    this.#step(`mend ${places.map(({ addresses }) => addresses.join(' ')).join(' ')}`);
  }

  shut({ name }: { name: string }, addresses: readonly string[]): void {
    this.#step(`shut ${name} ${addresses.join(' ')}`);
  }

  async delete({ name }: { name: string }): Promise<void> {
    await new Promise<void>((resolve) => this.#gone.push(resolve));
    this.#step(`delete ${name}`);
    this.links.delete(name);
  }

  async sweep(mine: ReadonlySet<number>, names: ReadonlySet<string>): Promise<void> {
    this.#step(`sweep but ${[...mine].join(' ')} ${[...names].join(' ')}`);
  }

  /** Lets the kernel get done with what is to be deleted. */
  finish(): void {
    for (const resolve of this.#gone.splice(0)) resolve();
  }

  /** What was done since the last call. */
  done(): string[] {
    return this.log.splice(0);
  }

  #step(what: string): void {
    if (this.failing !== '' && what.startsWith(this.failing)) throw new Error(`cannot ${what}`);
    this.log.push(what);
  }
}

class Rig {
  readonly fake: FakeMaps;
  readonly devices: FakeDevices;
  readonly table: EndpointTable;

  constructor(fake = fakeMaps(), devices = new FakeDevices()) {
    this.fake = fake;
    this.devices = devices;
    this.table = new EndpointTable({ devices, maps: fake.maps, mtu: () => 1450, log: silentLog });
  }

  /** Endpoints as the datapath knows them: by address, and by device. */
  get known(): Record<'endpoint' | 'device', string[]> {
    const { maps } = this.fake;
    return {
      endpoint: [...maps.endpoint.entries()].map(
        ([address, { id, identity, container }]) => `${address} ${id} ${identity} ${container}`,
      ),
      device: [...maps.device.entries()].map(
        ([ifindex, { ip4, endpoint }]) => `${ifindex} ${ip4} ${endpoint.identity} ${endpoint.container}`,
      ),
    };
  }
}

function spec(key: string, change: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    key,
    network: { gateway4: '169.254.1.1' },
    ipv4: `10.210.0.${key.charCodeAt(0) - 90}`,
    mac: '02:42:0a:d2:00:07',
    ...change,
  };
}

function owner(containerId: string, identity = 300): Owner {
  return { containerId, containerName: containerId, identity, spaces: [2], noWorld: false };
}

test('an endpoint is nobody’s until it is activated, and only then open', async () => {
  const { table, devices, fake } = new Rig();
  const names = { endpointId: 1, hostInterface: 'weir1', containerInterface: 'weir1c' };
  const made = await table.create(spec('a'));
  assert.deepEqual({ ...names, ...made }, made);
  assert.deepEqual(devices.done(), ['create weir1 weir1c 1450', 'attach weir1']);
  assert.equal(fake.maps.endpoint.get('10.210.0.7'), undefined);
  assert.deepEqual(fake.maps.device.get(101)?.endpoint.identity, 0);
  let atOpening: unknown;
  devices.open = () => (atOpening = fake.maps.endpoint.get('10.210.0.7'));
  table.activate('a', { ...owner('x'), noWorld: true });
  assert.deepEqual(atOpening, {
    ...{ ifindex: 101, identity: 300, container: 1, id: 1, flags: 1, mac: '02:42:0a:d2:00:07' },
    gatewayMac: devices.links.get('weir1')?.mac,
    spaces: [2, 0, 0, 0, 0, 0, 0, 0],
  });
  assert.deepEqual(fake.maps.device.get(101)?.endpoint, atOpening);
});

test('creating again is harmless, activating again changes the owner', async () => {
  const { table, devices } = new Rig();
  const first = await table.create(spec('a'));
  assert.equal(await table.create(spec('a')), first);
  assert.deepEqual(devices.done(), ['create weir1 weir1c 1450', 'attach weir1', 'attach weir1']);
  table.activate('a', owner('x'));
  table.activate('a', owner('x', 301));
  assert.equal(table.countOf(300), 0);
  assert.equal(table.countOf(301), 1);
});

test('a network’s own MTU counts', async () => {
  const { table, devices } = new Rig();
  await table.create(spec('a', { network: { mtu: 1300 } }));
  assert.equal(devices.done()[0], 'create weir1 weir1c 1300');
});

test('activating what is not there is a bug', () => {
  assert.throws(() => new Rig().table.activate('a', owner('x')), { code: 'BUG' });
});

test('from the removal on nothing passes; the device goes behind it, its number after it', async () => {
  const rig = new Rig();
  const { table, devices } = rig;
  await table.create(spec('a'));
  table.activate('a', owner('x'));
  devices.done();
  assert.deepEqual(table.remove('a')?.addresses, ['10.210.0.7']);
  assert.deepEqual(rig.known, { endpoint: [], device: [] });
  assert.deepEqual(devices.done(), ['shut weir1 10.210.0.7']);
  assert.equal(table.remove('a'), undefined);
  let isSettled = false;
  const settled = table.settled().then(() => (isSettled = true));
  await table.create(spec('b'));
  assert.equal(isSettled, false);
  devices.finish();
  await settled;
  assert.deepEqual(devices.done(), ['create weir2 weir2c 1450', 'attach weir2', 'delete weir1']);
});

test('an address that is another’s by now stays the other’s', async () => {
  const rig = new Rig();
  await rig.table.create(spec('a'));
  rig.table.activate('a', owner('x'));
  await rig.table.create(spec('b', { ipv4: '10.210.0.7' }));
  rig.table.activate('b', owner('y', 301));
  rig.table.remove('a');
  assert.deepEqual(rig.known, { endpoint: ['10.210.0.7 2 301 2'], device: ['102 10.210.0.7 301 2'] });
});

test('a failed creation leaves nothing', async () => {
  for (const failing of ['create', 'attach']) {
    const rig = new Rig();
    rig.devices.failing = failing;
    const attempt = assert.rejects(rig.table.create(spec('a')), /cannot/);
    setImmediate(() => rig.devices.finish());
    await attempt;
    assert.deepEqual(rig.known, { endpoint: [], device: [] });
    assert.deepEqual([...rig.devices.links], []);
    assert.deepEqual(rig.table.list(), []);
    rig.devices.failing = '';
    assert.equal((await rig.table.create(spec('a'))).endpointId, 2);
  }
});

test('a device that does not go is reported, not thrown', async () => {
  const { table, devices } = new Rig();
  await table.create(spec('a'));
  devices.failing = 'delete';
  table.remove('a');
  devices.finish();
  await table.settled();
  assert.deepEqual(table.list(), []);
});

test('numbers go round and pass over those in use', async () => {
  const rig = new Rig();
  rig.fake.maps.device.set(1, {
    ip4: '10.210.0.200',
    ...{ ip6: '::', gateway4: '0.0.0.0', gateway6: '::' },
    endpoint: { ...NOBODY, id: 0xffff - 1 },
  });
  const { table, devices } = new Rig(rig.fake);
  devices.links.set('weir1', { ...LINK, name: 'weir1' });
  const ids = [];
  for (const key of ['a', 'b', 'c']) ids.push((await table.create(spec(key))).endpointId);
  assert.deepEqual(ids, [0xffff, 2, 3], 'an event of the last one before a restart names no successor');
});

const LINK: Link = {
  index: 9,
  name: '',
  mac: '',
  mtu: 1500,
  up: true,
  carrier: true,
  loopback: false,
  framed: true,
};
const NOBODY = {
  ...{ ifindex: 1, identity: 300, container: 1, id: 1, flags: 0 },
  ...{ mac: '02:00:00:00:00:01', gatewayMac: '02:00:00:00:00:02', spaces: [] },
};

test('4000 endpoints are enough', async () => {
  const { table } = new Rig();
  for (let index = 0; index < 4000; index++) await table.create(spec(`${index}`, { ipv4: '10.210.9.9' }));
  await assert.rejects(table.create(spec('a')), { code: 'TOO_MANY_ENDPOINTS' });
});

test('after a restart an endpoint goes on as it was, until it is told anew', async () => {
  const before = new Rig();
  const { endpointId } = await before.table.create(spec('a'));
  before.table.activate('a', owner('x'));
  const asItWas = before.known;
  const { table, devices, fake } = new Rig(before.fake, before.devices);
  devices.done();
  fake.raw('weir_device').onWrite = fake.raw('weir_endpoint').onWrite = () => assert.fail('written');
  await table.create(spec('a', { endpointId }));
  assert.deepEqual(devices.done(), ['attach weir1']);
  assert.deepEqual(new Rig(fake).known, asItWas);
  fake.raw('weir_device').onWrite = fake.raw('weir_endpoint').onWrite = () => {};
  table.activate('a', owner('x', 301));
  assert.equal(fake.maps.endpoint.get('10.210.0.7')?.identity, 301);
});

test('after a restart no container has the number of another for an instant', async () => {
  const before = new Rig();
  for (const key of ['a', 'b', 'c']) await before.table.create(spec(key));
  before.table.activate('a', owner('x'));
  before.table.activate('b', owner('y'));
  before.table.activate('c', owner('x'));
  const { table, fake } = new Rig(before.fake, before.devices);
  const check = (): void => {
    const numbers = new Map<number, string>();
    for (const [address, { container }] of fake.maps.endpoint.entries()) {
      const name = address.endsWith('.8') ? 'y' : 'x';
      assert.equal(numbers.get(container) ?? name, name);
      numbers.set(container, name);
    }
    assert.equal(numbers.size, 2, 'a container with two endpoints keeps one number');
  };
  fake.raw('weir_device').onStep = fake.raw('weir_endpoint').onStep = check;
  for (const [index, key] of ['a', 'b', 'c'].entries())
    await table.create(spec(key, { endpointId: index + 1 }));
  for (const [key, container] of Object.entries({ b: 'y', a: 'x', c: 'x' }))
    table.activate(key, owner(container));
  check();
});

test('a device that has an address of somebody else is not taken as it is', async () => {
  const before = new Rig();
  await before.table.create(spec('a'));
  before.table.activate('a', owner('x'));
  const { table, fake } = new Rig(before.fake, before.devices);
  await table.create(spec('b', { endpointId: 1 }));
  assert.equal(fake.maps.device.get(101)?.ip4, '10.210.0.8');
  assert.equal(fake.maps.device.get(101)?.endpoint.identity, 0);
});

test('what is gone or has no number is made anew', async () => {
  const { table, devices } = new Rig();
  devices.links.set('weir7', { ...LINK, name: 'weir7', kind: 'dummy' });
  devices.find = (name) => (name === 'weir7' ? undefined : devices.links.get(name));
  assert.equal((await table.create(spec('a', { endpointId: 7 }))).endpointId, 1);
  assert.equal((await table.create(spec('b', { endpointId: 99 }))).endpointId, 2);
});

test('a sweep leaves what is claimed', async () => {
  const before = new Rig();
  for (const key of ['a', 'b', 'c']) {
    await before.table.create(spec(key));
    before.table.activate(key, owner(key));
  }
  const { table, devices } = new Rig(before.fake, before.devices);
  await table.create(spec('b', { endpointId: 2 }));
  devices.done();
  await table.sweep();
  assert.deepEqual(devices.done(), ['sweep but 102 weir2']);
  assert.deepEqual(new Rig(before.fake).known, {
    endpoint: ['10.210.0.8 2 300 2'],
    device: ['102 10.210.0.8 300 2'],
  });
});

test('only what is in use is mended', async () => {
  const { table, devices } = new Rig();
  for (const key of ['a', 'b']) await table.create(spec(key));
  table.activate('b', owner('y'));
  devices.done();
  table.mend();
  assert.deepEqual(devices.done(), ['mend 10.210.0.8']);
});

const DUAL = {
  ipv6: 'fd00:210::7',
  network: { gateway4: '169.254.1.1', gateway6: 'fe80::1' },
};

test('an endpoint of both families is known under both its addresses, with a gateway of each', async () => {
  const rig = new Rig();
  const { table, devices, fake } = rig;
  await table.create(spec('a', DUAL));
  table.activate('a', owner('x'));
  const own = fake.maps.device.get(101);
  assert.deepEqual(
    [own?.ip4, own?.ip6, own?.gateway4, own?.gateway6],
    ['10.210.0.7', 'fd00:210::7', '169.254.1.1', 'fe80::1'],
  );
  assert.deepEqual(rig.known.endpoint, ['10.210.0.7 1 300 1', 'fd00:210::7 1 300 1']);
  assert.deepEqual(devices.done().at(-1), 'open 101 10.210.0.7 fd00:210::7');
  await table.create(spec('b', { ipv6: 'fd00:210::7' }));
  table.activate('b', owner('y', 301));
  table.remove('a');
  assert.deepEqual(rig.known.endpoint, ['fd00:210::7 2 301 2', '10.210.0.8 2 301 2']);
  assert.deepEqual(devices.done().at(-1), 'shut weir1 10.210.0.7 fd00:210::7');
});

test('an endpoint of IPv6 alone has no IPv4 entry, and none is swept away of what it has', async () => {
  const rig = new Rig();
  const { ipv4: _none, ...six } = spec('a', DUAL);
  await rig.table.create(six);
  rig.table.activate('a', owner('x'));
  assert.deepEqual(rig.known, { endpoint: ['fd00:210::7 1 300 1'], device: ['101 0.0.0.0 300 1'] });
  await rig.table.sweep();
  assert.deepEqual(rig.known.endpoint, ['fd00:210::7 1 300 1']);
});

test('a device whose IPv6 address is somebody else’s is not taken as it is after a restart', async () => {
  const before = new Rig();
  const { endpointId } = await before.table.create(spec('a', DUAL));
  before.table.activate('a', owner('x'));
  const { table, fake } = new Rig(before.fake, before.devices);
  await table.create(spec('a', { ...DUAL, ipv6: 'fd00:210::8', endpointId }));
  assert.equal(fake.maps.device.get(101)?.ip6, 'fd00:210::8');
  assert.equal(fake.maps.device.get(101)?.endpoint.identity, 0);
});
