import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '../base/index.ts';
import { KernelError } from '../kernel/index.ts';
import type { InterfaceAddress, Link } from '../kernel/index.ts';
import { fakeMaps } from './fake-maps.test-support.ts';
import type { FakeMaps } from './fake-maps.test-support.ts';
import { Uplinks } from './uplinks.ts';

interface Host {
  links: Link[];
  addresses: InterfaceAddress[];
}

const MAC = '02:00:00:00:00:01';

/** A host of one device, or none, and a datapath that writes down what is done to it. */
class Rig {
  readonly fake: FakeMaps = fakeMaps();
  readonly log: string[] = [];
  host: Host = { links: [], addresses: [] };
  /** Names of pinned links. */
  pinned: string[] = [];
  /** Names of devices that take no program, and why. */
  readonly refusing = new Map<string, number>();
  uplinks = this.restart();

  constructor() {
    this.fake.maps.config.set(0, {
      generation: 1,
      traceLevel: 0,
      uplink: 0,
      natLow: 1,
      natHigh: 2,
      flags: 0,
      netns: 0n,
    });
  }

  restart(): Uplinks {
    const { maps } = this.fake;
    const object = {
      maps,
      attach: async (
        program: string,
        { name, ifindex }: { name: string; ifindex: number },
      ): Promise<void> => {
        const errno = this.refusing.get(name);
        if (errno !== undefined) throw new KernelError(`attach program to ${name}`, errno);
        this.log.push(`attach ${program === 'from_uplink' ? '' : `${program} `}${name} ${ifindex}`);
        this.pinned.push(name);
      },
      detach: async (name: string): Promise<void> => {
        this.log.push(`detach ${name}`);
        this.pinned = this.pinned.filter((pinned) => pinned !== name);
      },
      rename: (from: string, to: string): void => {
        this.log.push(`rename ${from} ${to}`);
        if (this.pinned.includes(from))
          this.pinned = [...this.pinned.filter((pinned) => pinned !== from && pinned !== to), to];
      },
      attached: () => this.pinned,
    };
    const netlink = { links: () => this.host.links, addresses: () => this.host.addresses, routes: () => [] };
    return (this.uplinks = new Uplinks({ netlink, object, tcx: true, log: silentLog, names: [] }));
  }

  /** What was done since the last call. */
  async refresh(index?: number, name = 'eth0', ...texts: string[]): Promise<string[]> {
    this.log.length = 0;
    const links =
      index === undefined
        ? []
        : [{ index, name, mac: MAC, mtu: 1400, up: true, carrier: true, loopback: false, framed: true }];
    const addresses = (texts.length > 0 ? texts : ['192.0.2.7']).map((address) => ({
      ...({
        ifindex: index ?? 0,
        address,
        length: 24,
        scope: 'global',
        temporary: false,
        usable: true,
      } as const),
      family: address.includes(':') ? (6 as const) : (4 as const),
    }));
    this.host = { links, addresses: index === undefined ? [] : addresses };
    await this.uplinks.refresh();
    return [...this.log];
  }

  /** Looks at a host with these devices, each with an address. */
  async see(...devices: { index: number; name: string }[]): Promise<void> {
    await this.refresh(ETH0);
    const [link, address] = [this.host.links[0]!, this.host.addresses[0]!];
    this.host = {
      links: devices.map((device) => ({ ...link, ...device })),
      addresses: devices.map(({ index }) => ({ ...address, ifindex: index })),
    };
    this.log.length = 0;
    await this.uplinks.refresh();
  }

  get inMap(): unknown {
    const { maps } = this.fake;
    const found = [...maps.uplink.entries()].map(([ifindex, { ip4 }]) => `${ifindex} ${ip4}`);
    return { found, default: maps.config.get(0)?.uplink };
  }
}

const ETH0 = 2;

test('an uplink that appears gets the program and is the default; nothing is done twice', async () => {
  const rig = new Rig();
  assert.deepEqual(await rig.refresh(), []);
  assert.deepEqual(await rig.refresh(ETH0), [`attach eth0 ${ETH0}`]);
  assert.deepEqual(rig.inMap, { found: [`${ETH0} 192.0.2.7`], default: ETH0 });
  assert.deepEqual(rig.uplinks.current, [
    { ifindex: ETH0, name: 'eth0', mtu: 1400, framed: true, ipv4: '192.0.2.7' },
  ]);
  assert.deepEqual(await rig.refresh(ETH0), []);
});

test('a new address is followed, the program stays', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  assert.deepEqual(await rig.refresh(ETH0, 'eth0', '192.0.2.99'), []);
  assert.deepEqual(rig.inMap, { found: [`${ETH0} 192.0.2.99`], default: ETH0 });
});

test('an IPv6 address that comes, changes or goes is followed, the program stays', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  const ip6 = (): string | undefined => rig.fake.maps.uplink.get(ETH0)?.ip6;
  assert.equal(ip6(), '::');
  for (const address of ['2001:db8::2', '2001:db8::3']) {
    assert.deepEqual(await rig.refresh(ETH0, 'eth0', '192.0.2.7', address), []);
    assert.equal(ip6(), address);
  }
  assert.deepEqual(await rig.refresh(ETH0), []);
  assert.equal(ip6(), '::');
  assert.deepEqual(await rig.refresh(ETH0, 'eth0', '2001:db8::3'), []);
  assert.deepEqual(rig.inMap, { found: [`${ETH0} 0.0.0.0`], default: ETH0 });
});

test('an uplink that goes leaves nothing', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  assert.deepEqual(await rig.refresh(), ['detach eth0']);
  assert.deepEqual(rig.inMap, { found: [], default: 0 });
  assert.deepEqual(rig.pinned, []);
});

test('one that was deleted and made again under its name has its program', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  assert.deepEqual(await rig.refresh(ETH0 + 1), ['detach eth0', `attach eth0 ${ETH0 + 1}`]);
  assert.deepEqual(rig.pinned, ['eth0']);
  assert.deepEqual(rig.inMap, { found: [`${ETH0 + 1} 192.0.2.7`], default: ETH0 + 1 });
});

test('one that is renamed is never without its program', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  assert.deepEqual(await rig.refresh(ETH0, 'wan0'), ['rename eth0 renamed 2', 'rename renamed 2 wan0']);
  assert.deepEqual(rig.pinned, ['wan0']);
});

test('after a restart the program is put in place of the former, and taken off what is no uplink any more', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  rig.pinned = ['eth0', 'wan9', 'weir7'];
  rig.fake.maps.uplink.set(ETH0 + 9, { ip4: '198.51.100.1', ip6: '::' });
  rig.restart();
  assert.deepEqual(await rig.refresh(ETH0), ['detach wan9', `attach eth0 ${ETH0}`]);
  assert.deepEqual(rig.inMap, { found: [`${ETH0} 192.0.2.7`], default: ETH0 });
  assert.ok(rig.pinned.includes('weir7'), 'an endpoint is none of its business');
});

test('a bridge has the program and no address; it is no way out, and what becomes an uplink keeps its program', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  const { links, addresses } = rig.host;
  const bridge = { ...links[0]!, index: 5, name: 'docker0', kind: 'bridge' };
  rig.log.length = 0;
  rig.host = { links: [...links, bridge], addresses: [...addresses, { ...addresses[0]!, ifindex: 5 }] };
  await rig.uplinks.refresh();
  assert.deepEqual(rig.log, ['attach docker0 5']);
  assert.deepEqual(rig.inMap, { found: [`${ETH0} 192.0.2.7`, '5 0.0.0.0'], default: ETH0 });
  assert.deepEqual(
    rig.uplinks.current.map(({ name }) => name),
    ['eth0'],
  );
  rig.log.length = 0;
  rig.host = {
    ...rig.host,
    links: [
      { ...links[0]!, up: false },
      { ...bridge, kind: 'team' },
    ],
  };
  await rig.uplinks.refresh();
  assert.deepEqual(rig.log, ['detach eth0']);
  assert.deepEqual(rig.inMap, { found: ['5 192.0.2.7'], default: 5 });
});

test('a tunnel has the program for bare packets', async () => {
  const rig = new Rig();
  await rig.refresh(ETH0);
  rig.log.length = 0;
  const { links, addresses } = rig.host;
  const tunnel = { ...links[0]!, index: 5, name: 'wg0', mac: '', framed: false };
  rig.host = { links: [...links, tunnel], addresses: [...addresses, { ...addresses[0]!, ifindex: 5 }] };
  await rig.uplinks.refresh();
  assert.deepEqual(rig.log, ['attach from_tunnel wg0 5']);
});

test('one that takes no program keeps the others from nothing, and is told; one that has just gone is no failure', async () => {
  const rig = new Rig();
  const [eth1, eth2] = [
    { index: 3, name: 'eth1' },
    { index: 4, name: 'eth2' },
  ];
  rig.refusing.set('eth1', -22);
  await assert.rejects(rig.see(eth1, eth2), /eth1/);
  assert.deepEqual(rig.inMap, { found: ['4 192.0.2.7'], default: 4 });
  assert.deepEqual(
    rig.uplinks.current.map(({ name }) => name),
    ['eth2'],
  );
  rig.refusing.set('eth1', -19);
  await rig.uplinks.refresh();
  rig.refusing.clear();
  await rig.uplinks.refresh();
  assert.deepEqual(rig.inMap, { found: ['4 192.0.2.7', '3 192.0.2.7'], default: 3 });
});

test('two that change names keep their programs', async () => {
  const rig = new Rig();
  await rig.see({ index: 3, name: 'eth1' }, { index: 4, name: 'eth2' });
  rig.host.links = rig.host.links.map((link) => ({ ...link, name: link.index === 3 ? 'eth2' : 'eth1' }));
  await rig.uplinks.refresh();
  assert.deepEqual(rig.pinned.toSorted(), ['eth1', 'eth2']);
});
