import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import express from 'express';
import request from 'supertest';
import { PLUGIN_CONTENT_TYPE, silentLog } from '../base/index.ts';
import { openEmbeddedStore } from '../kvstore/index.ts';
import { createIpamDriver } from './ipam-driver.ts';
import { Ipam } from './ipam.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-ipam-driver-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

type Call = (method: string, body?: object) => Promise<Record<string, unknown>>;

interface Bench extends AsyncDisposable {
  call: Call;
  ipam: Ipam;
  clock: { time: number; now(): number };
}

/** A driver behind express, and a caller that sends what dockerd sends. */
async function driver(): Promise<Bench> {
  const store = await openEmbeddedStore({
    file: path.join(root, String(++made), 'store.json'),
    log: silentLog,
  });
  const ipam = await Ipam.open({ store, clusterCidr: '10.210.0.0/16', nodePrefix: '10.210.0.0/24' });
  const clock = { time: 1_000_000, now: (): number => clock.time };
  const app = express().use(createIpamDriver(ipam, { log: silentLog, clock }));
  const call: Call = async (method, body) => {
    const sent = request(app)
      .post(`/IpamDriver.${method}`)
      .set('Accept', PLUGIN_CONTENT_TYPE)
      .unset('Content-Type');
    const response = await sent
      .send(body === undefined ? undefined : Buffer.from(`${JSON.stringify(body)}\n`))
      .buffer(true)
      .parse((from, done) => {
        let text = '';
        from.on('data', (chunk: Buffer) => (text += chunk.toString()));
        from.on('end', () => done(null, JSON.parse(text)));
      });
    assert.equal(response.status, 200);
    assert.equal(response.headers['content-type'], PLUGIN_CONTENT_TYPE);
    return response.body as Record<string, unknown>;
  };
  return { call, ipam, clock, [Symbol.asyncDispose]: () => store.close() };
}

const POOL = { AddressSpace: 'local', Pool: '', SubPool: '', Options: {}, V6: false };
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };

test('capabilities and address spaces are answered without a body', async () => {
  await using at = await driver();
  assert.deepEqual(await at.call('GetCapabilities'), {
    RequiresMACAddress: false,
    RequiresRequestReplay: false,
  });
  assert.deepEqual(await at.call('GetDefaultAddressSpaces'), {
    LocalDefaultAddressSpace: 'local',
    GlobalDefaultAddressSpace: 'global',
  });
});

test('a flat pool comes with its gateway, a subnet asks for one; containers get /32', async () => {
  await using at = await driver();
  const flat = await at.call('RequestPool', { ...POOL, Options: null });
  assert.deepEqual(
    { ...flat, PoolID: '' },
    { PoolID: '', Pool: '10.210.0.0/24', Data: { 'com.docker.network.gateway': '10.210.0.1/32' } },
  );
  assert.deepEqual(await at.call('RequestAddress', { PoolID: flat['PoolID'], Address: '', Options: null }), {
    Address: '10.210.0.2/32',
    Data: {},
  });
  const own = await at.call('RequestPool', { ...POOL, Pool: '10.77.0.0/24' });
  assert.deepEqual(own['Data'], {});
  assert.deepEqual(
    await at.call('RequestAddress', { PoolID: own['PoolID'], Address: '', Options: GATEWAY }),
    { Address: '10.77.0.1/24', Data: {} },
  );
  for (const Address of ['10.77.0.1', '10.77.0.1'])
    assert.deepEqual(await at.call('ReleaseAddress', { PoolID: own['PoolID'], Address }), {});
  for (const PoolID of [own['PoolID'], own['PoolID'], flat['PoolID']])
    assert.deepEqual(await at.call('ReleasePool', { PoolID }), {});
  assert.deepEqual(at.ipam.addresses(), []);
});

test('options of the user are refused by name, those of Docker are not', async () => {
  await using at = await driver();
  const refused = await at.call('RequestPool', {
    ...POOL,
    Options: { 'com.docker.network.ipam.serial': 'true', color: 'blue' },
  });
  assert.equal(
    refused['Error'],
    'IPAM option "color" is not known (weir takes no --ipam-opt) [IPAM_OPTION_UNKNOWN]',
  );
  assert.ok(
    'PoolID' in
      (await at.call('RequestPool', { ...POOL, Options: { 'com.docker.network.ipam.serial': 'true' } })),
  );
});

test('a dockerd that rejects the pool again and again hears why; one that creates many networks does not', async () => {
  await using at = await driver();
  const ask = async (): Promise<string> => String((await at.call('RequestPool', POOL))['Error'] ?? '');
  for (let n = 0; n < 1000; n++) assert.equal(await ask(), '');
  assert.match(
    await ask(),
    /10\.210\.0\.0\/24 overlaps a route or a name server .*--cluster-cidr.*\[POOL_OVERLAP\]/,
  );
  await at.call('GetDefaultAddressSpaces');
  for (let n = 0; n < 1500; n++) {
    at.clock.time += 11;
    assert.equal(await ask(), '');
  }
});
