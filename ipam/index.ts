/**
 * Addresses: which container has which, and Docker's IpamDriver protocol over it.
 * Promise: an address has one holder at a time; what was acknowledged is persisted; a refused request changes nothing,
 * and a repeated release is harmless.
 * Never: asks another host. A node allocates from its own prefix and from the subnets of its networks.
 * Trap: networks without --subnet share one flat pool, so a pool's prefix says nothing about its network.
 */
export { createIpamDriver } from './ipam-driver.ts';
export type { IpamDriverOptions } from './ipam-driver.ts';
export { Ipam } from './ipam.ts';
export type { AddressRequest, IpamOptions, InUse, PoolGrant, PoolRequest, PoolStatus } from './ipam.ts';
