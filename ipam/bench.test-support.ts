/** An Ipam on a store of its own, and short words for what Docker asks of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UserError, silentLog } from '../base/index.ts';
import type { Cidr } from '../base/index.ts';
import { openEmbeddedStore } from '../kvstore/index.ts';
import type { Store } from '../kvstore/index.ts';
import { Ipam } from './ipam.ts';
import type { IpamOptions, PoolGrant } from './ipam.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-ipam-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

/** A host with IPv6. */
export const DUAL = { ipv6: { clusterCidr: 'fd00:210::/48', nodePrefix: 'fd00:210::/64' } };

export interface Bench {
  ipam: Ipam;
  store: Store;
  clock: { time: number; now(): number };
  routes: Cidr[];
  /** The same files, opened anew. */
  restart(change?: Partial<IpamOptions>): Promise<void>;
}

export async function bench(change: Partial<IpamOptions> = {}): Promise<Bench & AsyncDisposable> {
  const file = path.join(root, String(++made), 'store.json');
  const clock = { time: 1_000_000, now: () => clock.time };
  const routes: Cidr[] = [];
  const open = async (more: Partial<IpamOptions>): Promise<{ store: Store; ipam: Ipam }> => {
    const store = await openEmbeddedStore({ file, log: silentLog });
    const options = {
      store,
      clock,
      hostRoutes: () => routes,
      clusterCidr: '10.210.0.0/16',
      nodePrefix: '10.210.0.0/24',
      ...more,
    };
    try {
      return { store, ipam: await Ipam.open(options) };
    } catch (error) {
      await store.close();
      throw error;
    }
  };
  const at = {
    ...(await open(change)),
    clock,
    routes,
    async restart(more: Partial<IpamOptions> = {}): Promise<void> {
      await at.store.close();
      Object.assign(at, await open({ ...change, ...more }));
    },
    [Symbol.asyncDispose]: () => at.store.close(),
  };
  return at;
}

export const pool = (ipam: Ipam, subnet = '', range = '', space = 'local'): Promise<PoolGrant> =>
  ipam.requestPool({ space, subnet, range, ipv6: false });
export const pool6 = (ipam: Ipam, subnet = '', range = '', space = 'local'): Promise<PoolGrant> =>
  ipam.requestPool({ space, subnet, range, ipv6: true });
export const next = (ipam: Ipam, poolId: string): Promise<string> =>
  ipam.requestAddress({ poolId, address: '', isGateway: false });
/** As many addresses, of any kind; 256 are asked for at a time. */
export async function take(ipam: Ipam, poolId: string, amount: number): Promise<void> {
  for (let n = 0; n < amount; n += 256)
    await Promise.all(Array.from({ length: Math.min(256, amount - n) }, () => next(ipam, poolId)));
}
export const exact = (ipam: Ipam, poolId: string, address: string): Promise<string> =>
  ipam.requestAddress({ poolId, address, isGateway: false });
export const gateway = (ipam: Ipam, poolId: string, address = ''): Promise<string> =>
  ipam.requestAddress({ poolId, address, isGateway: true });
export const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  assert.ok(!error.message.includes('\n'));
  return true;
};
