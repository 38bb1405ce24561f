import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { UserError, cidrContains, parseCidr, silentLog } from '../base/index.ts';
import { openEmbeddedStore } from '../kvstore/index.ts';
import type { Store } from '../kvstore/index.ts';
import { Ipam } from './ipam.ts';
import type { IpamOptions } from './ipam.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-ipam-model-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

/** Small enough that pools, and the cluster as a whole, run full all the time. */
interface Land {
  family: 4 | 6;
  cluster: string;
  node: string;
  /** The host's own address. */
  own: string;
  slots: string[];
  subnets: { subnet: string; range: string }[];
}

/** A cluster of four prefixes of four addresses, the first of them the host's, and two subnets of eight beside it. */
function landOf(family: 4 | 6, net: (name: number) => string): Land {
  const prefix = (name: number, host: number, bits: number): string =>
    `${atHost(net(name), host)}/${(family === 4 ? 32 : 128) - bits}`;
  const node = prefix(210, 0, 2);
  return {
    family,
    cluster: prefix(210, 0, 4),
    node,
    own: atHost(net(210), 1),
    slots: [0, 4, 8, 12].map((host) => prefix(210, host, 2)),
    subnets: [
      { subnet: '', range: '' },
      { subnet: node, range: '' },
      { subnet: prefix(77, 0, 3), range: '' },
      { subnet: prefix(78, 0, 3), range: prefix(78, 4, 2) },
    ],
  };
}

const LANDS = [landOf(4, (name) => `10.${name}.0.`), landOf(6, (name) => `fd00:${name}::`)];

type Step =
  | { act: 'pool'; which: number }
  | { act: 'closePool' | 'any' | 'gateway'; pool: number }
  | { act: 'exact'; pool: number; host: number }
  | { act: 'free' | 'freeAgain'; held: number }
  | { act: 'wait'; seconds: number }
  | { act: 'route'; slot: number }
  | { act: 'restart' };

const index = fc.nat(30);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ act: fc.constant('pool' as const), which: fc.nat(3) }) },
  { weight: 12, arbitrary: fc.record({ act: fc.constant('any' as const), pool: index }) },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constantFrom('closePool' as const, 'gateway' as const), pool: index }),
  },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('exact' as const), pool: index, host: fc.nat(15) }) },
  {
    weight: 8,
    arbitrary: fc.record({ act: fc.constantFrom('free' as const, 'freeAgain' as const), held: index }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('wait' as const), seconds: fc.nat(40) }) },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constant('route' as const), slot: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('restart' as const) }) },
);

interface ModelPool {
  id: string;
  cidr: string;
  range: string;
  /** May have every prefix of the host. */
  isFlat: boolean;
}

/** The last part of an address as a number, and what stands before it; IPv6 writes no last part that is zero. */
function split(prefix: string): { base: string; host: number; length: number } {
  const [, base = '', last = '', length = ''] = /^(.*[.:])([0-9a-f]*)\/(\d+)$/.exec(prefix)!;
  return { base, host: Number.parseInt(last || '0', base.endsWith(':') ? 16 : 10), length: Number(length) };
}

function atHost(base: string, host: number): string {
  return `${base}${base.endsWith(':') ? (host === 0 ? '' : host.toString(16)) : host}`;
}

/** What a prefix has to give: not its first address, in IPv4 not its last, and not the host's own. */
function usableOf({ family, own }: Land, cidr: string): string[] {
  const { base, host, length } = split(cidr);
  const amount = family === 4 ? 2 ** (32 - length) - 2 : 2 ** (128 - length) - 1;
  const hosts = Array.from({ length: amount }, (_, n) => host + n + 1);
  return hosts.map((each) => atHost(base, each)).filter((address) => address !== own);
}

/** What a person would keep on paper: who holds what, and when what was freed. */
class Model {
  readonly land: Land;
  pools: ModelPool[] = [];
  prefixes: string[];
  routed = new Set<string>();
  held = new Map<string, ModelPool>();
  freedAt = new Map<string, number>();
  gone: { address: string; pool: ModelPool }[] = [];

  constructor(land: Land) {
    this.land = land;
    this.prefixes = [land.node];
  }

  usable({ cidr, range, isFlat }: ModelPool): string[] {
    if (isFlat) return this.prefixes.flatMap((prefix) => usableOf(this.land, prefix));
    return usableOf(this.land, cidr).filter((address) => cidrContains(parseCidr(range), address));
  }

  /** The slot after the one of the highest number, round and round, that is neither claimed nor routed. */
  nextSlot(): string | undefined {
    const { slots } = this.land;
    const highest = Math.max(...this.prefixes.map((slot) => slots.indexOf(slot)));
    const order = [...slots.slice(highest + 1), ...slots.slice(0, highest + 1)];
    return order.find((slot) => !this.prefixes.includes(slot) && !this.routed.has(slot));
  }

  free(address: string, now: number): void {
    this.gone.push({ address, pool: this.held.get(address)! });
    this.held.delete(address);
    this.freedAt.set(address, now);
  }
}

class Scene {
  readonly land: Land;
  readonly model: Model;
  readonly clock = { time: 1_000_000, now: (): number => this.clock.time };
  readonly #file = path.join(root, String(++made), 'store.json');
  #store: Store | undefined;
  #ipam: Ipam | undefined;

  constructor(land: Land) {
    this.land = land;
    this.model = new Model(land);
  }

  get ipam(): Ipam {
    return this.#ipam!;
  }

  async restart(): Promise<void> {
    await this.#store?.close();
    this.#store = await openEmbeddedStore({ file: this.#file, log: silentLog });
    this.#ipam = await Ipam.open({
      store: this.#store,
      clock: this.clock,
      ...this.#flat(),
      hostRoutes: () => [...this.model.routed].map((slot) => parseCidr(slot)),
    });
  }

  /** The other family is there too, large, and never asked for anything. */
  #flat(): Pick<IpamOptions, 'clusterCidr' | 'nodePrefix' | 'ipv6'> {
    const { family, cluster, node } = this.land;
    const own = { clusterCidr: cluster, nodePrefix: node };
    if (family === 4) return { ...own, ipv6: { clusterCidr: 'fd01::/48', nodePrefix: 'fd01::/64' } };
    return { clusterCidr: '10.211.0.0/16', nodePrefix: '10.211.0.0/24', ipv6: own };
  }

  async close(): Promise<void> {
    await this.#store?.close();
    rmSync(path.dirname(this.#file), { recursive: true });
  }

  async take(at: Step): Promise<void> {
    this.clock.time++; // so that no two releases are of one moment
    const { pools, held, gone } = this.model;
    if (at.act === 'restart') await this.restart();
    else if (at.act === 'wait') this.clock.time += at.seconds * 1000;
    else if (at.act === 'route') this.toggleRoute(this.land.slots[at.slot]!);
    else if (at.act === 'pool') await this.openPool(at.which);
    else if (at.act === 'free') await this.free([...held.keys()][at.held % held.size]);
    else if (at.act === 'freeAgain') await this.freeAgain(gone[at.held % gone.length]);
    else if ('pool' in at) await this.useOf(pools[at.pool % pools.length], at);
  }

  async useOf(pool: ModelPool | undefined, at: Step): Promise<void> {
    if (pool === undefined) return;
    if (at.act === 'closePool') await this.closePool(pool);
    if (at.act === 'any') await this.any(pool);
    if (at.act === 'gateway') await this.gateway(pool);
    if (at.act === 'exact') await this.exact(pool, atHost(split(pool.cidr).base, at.host));
  }

  async openPool(which: number): Promise<void> {
    const { family, node, subnets } = this.land;
    const { subnet, range } = subnets[which]!;
    const isOwn = subnet !== '' && subnet !== node;
    const owner = this.model.pools.find((pool) => isOwn && pool.cidr === subnet);
    const isUsed = [...this.model.held.values()].includes(owner!);
    const asked = this.ipam.requestPool({ space: 'local', subnet, range, ipv6: family === 6 });
    if (isUsed) return assert.rejects(asked, { code: 'POOL_OVERLAP' });
    const { id, cidr } = await asked;
    this.model.pools = this.model.pools.filter((pool) => pool !== owner);
    this.model.pools.push({ id, cidr, range: range === '' ? cidr : range, isFlat: subnet === '' });
  }

  toggleRoute(slot: string): void {
    const { routed } = this.model;
    if (!routed.delete(slot)) routed.add(slot);
  }

  async closePool(pool: ModelPool): Promise<void> {
    await this.ipam.releasePool(pool.id);
    for (const [address, holder] of this.model.held)
      if (holder === pool) this.model.free(address, this.clock.time);
    this.model.pools = this.model.pools.filter((other) => other !== pool);
    if (pool.cidr === this.land.node) return;
    for (const address of this.model.freedAt.keys())
      if (cidrContains(parseCidr(pool.cidr), address)) this.model.freedAt.delete(address);
  }

  async any(pool: ModelPool): Promise<void> {
    const { held, freedAt } = this.model;
    const freeNow = (): string[] => this.model.usable(pool).filter((address) => !held.has(address));
    const slot = this.model.nextSlot();
    if (pool.isFlat && freeNow().length === 0 && slot !== undefined) this.model.prefixes.push(slot);
    const free = freeNow();
    const asked = this.ipam.requestAddress({ poolId: pool.id, address: '', isGateway: false });
    if (free.length === 0) return assert.rejects(asked, { code: 'POOL_EXHAUSTED' });
    const given = (await asked).replace(/\/(32|128)$/, '');
    assert.ok(free.includes(given), `${given} is not free in ${pool.range}`);
    const restOf = (address: string): number => this.clock.time - (freedAt.get(address) ?? 0);
    const longest = Math.max(...free.map(restOf));
    if (restOf(given) < 30_000)
      assert.equal(restOf(given), longest, `${given} did not rest although another did longer`);
    held.set(given, pool);
  }

  /** In the node prefix it is the host's own; else the subnet's first address, or what a container would get. */
  async gateway(pool: ModelPool): Promise<void> {
    const { land, held } = this.model;
    const asked = this.ipam.requestAddress({ poolId: pool.id, address: '', isGateway: true });
    const text = (address: string): string => `${address}/${split(pool.cidr).length}`;
    if (pool.cidr === land.node)
      return assert.equal(await asked, `${land.own}/${land.family === 4 ? 32 : 128}`);
    const first = usableOf(land, pool.cidr)[0]!;
    const free = [first, ...this.model.usable(pool)].filter((address) => !held.has(address));
    if (free.length === 0) return assert.rejects(asked, { code: 'POOL_EXHAUSTED' });
    const given = await asked;
    assert.ok((free[0] === first ? [first] : free).map(text).includes(given), `${given} is no gateway`);
    held.set(given.replace(/\/\d+$/, ''), pool);
  }

  async exact(pool: ModelPool, address: string): Promise<void> {
    const asked = this.ipam.requestAddress({ poolId: pool.id, address, isGateway: false });
    const isUsable = this.model.usable({ ...pool, range: pool.cidr }).includes(address);
    if (!isUsable || this.model.held.has(address)) return assert.rejects(asked, UserError);
    assert.equal(await asked, `${address}/${this.land.family === 4 ? 32 : 128}`);
    this.model.held.set(address, pool);
  }

  async free(address: string | undefined): Promise<void> {
    if (address === undefined) return;
    await this.ipam.releaseAddress(this.model.held.get(address)!.id, address);
    this.model.free(address, this.clock.time);
  }

  /** A release that comes once more must not take the address from the next network that got it. */
  async freeAgain(released: Model['gone'][number] | undefined): Promise<void> {
    if (released === undefined || this.model.held.get(released.address) === released.pool) return;
    await this.ipam.releaseAddress(released.pool.id, released.address);
  }

  check(): void {
    const got = this.ipam.addresses().map(({ address, poolId }) => `${address} ${poolId}`);
    const want = [...this.model.held].map(([address, { id }]) => `${address} ${id}`);
    assert.deepEqual(got.toSorted(), want.toSorted());
    const prefixes = this.ipam.list().map(({ cidr }) => cidr);
    const claimed = prefixes.filter((cidr) => this.land.slots.includes(cidr));
    assert.deepEqual(claimed.toSorted(), this.model.prefixes.toSorted());
  }
}

for (const land of LANDS) {
  test(
    `IPv${land.family}: any sequence of requests, releases and restarts agrees with a plain model`,
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }), async (steps) => {
          const scene = new Scene(land);
          try {
            await scene.restart();
            for (const at of steps) {
              await scene.take(at);
              scene.check();
            }
            await scene.restart();
            scene.check();
          } finally {
            await scene.close();
          }
        }),
        { numRuns: 100 },
      );
    },
  );

  test(`IPv${land.family}: many at once never get the same address`, async () => {
    const scene = new Scene(land);
    await scene.restart();
    const { ipam } = scene;
    const ipv6 = land.family === 6;
    const pools = await Promise.all(
      land.subnets.map(({ subnet, range }) => ipam.requestPool({ space: 'local', subnet, range, ipv6 })),
    );
    const holders = new Map<string, string>();
    const given = new Set<string>();
    let times = 0;
    const container = async (poolId: string, rounds: number): Promise<void> => {
      for (let n = 0; n < rounds; n++) {
        const address = await ipam
          .requestAddress({ poolId, address: '', isGateway: false })
          .catch((error: unknown) => {
            assert.ok(error instanceof UserError && error.code === 'POOL_EXHAUSTED', String(error));
            return undefined;
          });
        if (address === undefined) continue;
        times++;
        given.add(address);
        assert.equal(holders.get(address), undefined, `${address} has two holders`);
        holders.set(address, poolId);
        await Promise.resolve();
        holders.delete(address);
        const release = (): Promise<void> => ipam.releaseAddress(poolId, address.replace(/\/\d+$/, ''));
        await Promise.all([release(), release()]);
      }
    };
    await Promise.all(Array.from({ length: 30 }, (_, n) => container(pools[n % 4]!.id, 20)));
    assert.ok(times > given.size && given.size > 1, 'addresses are given again and again');
    assert.deepEqual(ipam.addresses(), []);
    await scene.close();
  });
}
