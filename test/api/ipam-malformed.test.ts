/** Malformed and mutated calls to the IPAM driver: each is answered in one line, and none changes anything. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Agent, createServer, request } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import express from 'express';
import * as fc from 'fast-check';
import { silentLog } from '../../base/index.ts';
import { Ipam, createIpamDriver } from '../../ipam/index.ts';
import { openEmbeddedStore } from '../../kvstore/index.ts';
import type { Entry } from '../../kvstore/index.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-malformed-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

interface Bench extends AsyncDisposable {
  server: Server;
  ipam: Ipam;
  flat: string;
  own: string;
  state(): Promise<Entry[]>;
  post(method: string, body: Buffer | string): Promise<Answer>;
}

/** A driver with one flat and one full subnet pool, behind a real server. */
async function bench(): Promise<Bench> {
  const store = await openEmbeddedStore({
    file: path.join(root, String(++made), 'store.json'),
    log: silentLog,
  });
  const ipam = await Ipam.open({ store, clusterCidr: '10.210.0.0/16', nodePrefix: '10.210.0.0/24' });
  const server = createServer(express().use(createIpamDriver(ipam, { log: silentLog })));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const { port } = server.address() as AddressInfo;
  const post = async (method: string, body: Buffer | string): Promise<Answer> => {
    const sent = request({ port, host: '127.0.0.1', agent, method: 'POST', path: `/IpamDriver.${method}` });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { status: response.statusCode, body: JSON.parse(text) as Record<string, unknown> };
  };
  const { id: flat } = await ipam.requestPool({ space: 'local', subnet: '', range: '', ipv6: false });
  const { id: own } = await ipam.requestPool({
    space: 'local',
    subnet: '10.77.0.0/30',
    range: '',
    ipv6: false,
  });
  for (const [poolId, isGateway] of [
    [flat, false],
    [own, true],
    [own, false],
  ] as const)
    await ipam.requestAddress({ poolId, address: '', isGateway });
  const close = async (): Promise<void> => {
    agent.destroy();
    server.close();
    await store.close();
  };
  return { server, ipam, flat, own, state: () => store.list(''), post, [Symbol.asyncDispose]: close };
}

function assertRefused({ status, body }: Answer, what: string): void {
  const text = body['Error'];
  assert.ok(
    typeof text === 'string' && text !== '' && !text.includes('\n') && text.length < 500,
    `${what}: ${JSON.stringify(body)}`,
  );
  assert.equal(body['Err'], text);
  assert.ok(status === 200 || (status >= 400 && status < 500), `${what}: ${status} ${text}`);
}

/** Bodies that say nothing weir could do, by method; the valid field names with wrong values. */
function wrongBodies({ flat, own }: Bench): fc.Arbitrary<[method: string, body: string]> {
  const notText = fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.array(fc.string(), { maxLength: 2 }),
    fc.dictionary(fc.string(), fc.nat(), { minKeys: 1 }),
  );
  const badAddress = fc.oneof(
    fc.constantFrom(
      '10.77.0.0',
      '10.77.0.3',
      '10.77.0.1',
      '10.210.0.1',
      '10.210.1.9',
      '010.77.0.2',
      '10.77.0',
      '0x0a4d0002',
      '::ffff:10.77.0.2',
      'fd00::1',
      '10.77.0.2/30',
      '256.1.1.1',
      ' 10.77.0.2',
    ),
    fc.string({ minLength: 1 }).filter((text) => !/^\d+\.\d+\.\d+\.\d+$/.test(text)),
    notText,
  );
  const badPool = fc.oneof(
    fc.string(),
    notText,
    fc.constantFrom(
      `${own}0`,
      own.slice(0, -1),
      own.replace('local', 'global'),
      flat.replace('10.210.0.0', '10.210.1.0'),
      '../..',
      '__proto__',
    ),
  );
  const badSubnet = fc.oneof(
    fc.constantFrom(
      '10.77.0.0/24',
      '10.77.0.0/30',
      '10.210.0.0/16',
      '10.0.0.0/-1',
      '10.0.0.0/24x',
      '10.0.0.0/ 24',
      '10.0.0.1/24',
      '10.0.0.0/33',
      '0.0.0.0/0',
      '127.0.0.0/8',
      '224.0.0.0/4',
      '10.8.0.0/31',
      'fd00::/64',
      '10.0.0.0',
    ),
    fc.string({ minLength: 1 }),
    notText,
  );
  const space = {
    AddressSpace: fc.constant('local'),
    SubPool: fc.constant(''),
    Options: fc.constant({}),
    V6: fc.constant(false),
  };
  const json = (
    method: string,
    shape: Record<string, fc.Arbitrary<unknown>>,
  ): fc.Arbitrary<[string, string]> => fc.record(shape).map((body) => [method, JSON.stringify(body)]);
  return fc.oneof(
    json('RequestPool', { ...space, Pool: badSubnet }),
    json('RequestPool', { ...space, Pool: fc.constant('10.80.0.0/24'), SubPool: badSubnet }),
    json('RequestPool', {
      ...space,
      Pool: fc.constant('10.80.0.0/24'),
      AddressSpace: fc.oneof(fc.string(), notText),
    }),
    json('RequestPool', {
      ...space,
      Pool: fc.constant('10.80.0.0/24'),
      V6: fc.constantFrom(true, 'true', 1, {}),
    }),
    json('RequestPool', {
      ...space,
      Pool: fc.constant('10.80.0.0/24'),
      Options: fc.oneof(
        fc.string(),
        fc.nat(),
        fc.array(fc.nat()),
        fc.dictionary(fc.string(), fc.string(), { minKeys: 1 }),
      ),
    }),
    json('RequestAddress', { PoolID: badPool, Address: fc.constant('') }),
    json('RequestAddress', { PoolID: fc.constantFrom(own, flat), Address: badAddress }),
    json('RequestAddress', {
      PoolID: fc.constant(flat),
      Address: fc.constant(''),
      Options: fc.oneof(fc.string({ minLength: 1 }), fc.nat(), fc.array(fc.nat())),
    }),
    json('RequestAddress', {
      PoolID: fc.constant(flat),
      Address: fc.constant(''),
      Options: fc.record({ RequestAddressType: notText }),
    }),
    json('ReleaseAddress', { PoolID: fc.constantFrom(own, flat), Address: notText }),
    json('ReleaseAddress', { PoolID: notText, Address: fc.constant('10.77.0.2') }),
    json('ReleasePool', { PoolID: notText }),
  );
}

test('3,000 bodies with wrong values are refused and change nothing', async () => {
  await using at = await bench();
  const before = await at.state();
  const held = at.ipam.addresses();
  await fc.assert(
    fc.asyncProperty(wrongBodies(at), async ([method, body]) =>
      assertRefused(await at.post(method, body), `${method} ${body}`),
    ),
    { numRuns: 3000 },
  );
  assert.deepEqual(await at.state(), before);
  assert.deepEqual(at.ipam.addresses(), held);
});

const METHODS = ['RequestPool', 'RequestAddress', 'ReleaseAddress', 'ReleasePool'];

test('3,000 bodies that are no JSON objects are refused with 400 and change nothing', async () => {
  await using at = await bench();
  const before = await at.state();
  const valid = JSON.stringify({
    PoolID: at.own,
    Address: '10.77.0.2',
    AddressSpace: 'local',
    Pool: '10.80.0.0/24',
    SubPool: '',
    Options: {},
    V6: false,
  });
  const body = fc.oneof(
    fc.nat(valid.length - 1).map((length) => Buffer.from(valid.slice(0, length))),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from([0x7f, ...bytes])),
    fc
      .jsonValue()
      .filter((value) => typeof value !== 'object' || value === null || Array.isArray(value))
      .map((value) => Buffer.from(JSON.stringify(value))),
    fc
      .constantFrom('', ' ', '{}{}', '['.repeat(100_000), '{"a":'.repeat(50_000), '\uFEFF{}')
      .map((text) => Buffer.from(text)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS), body, async (method, bytes) => {
      const answer = await at.post(method, bytes);
      assertRefused(answer, `${method} ${bytes.toString('latin1').slice(0, 200)}`);
      assert.equal(answer.status, 400);
    }),
    { numRuns: 3000 },
  );
  assert.deepEqual(await at.state(), before);
});

test('any mutation of a call is answered in form, and nobody loses an address by it', async () => {
  await using at = await bench();
  const held = at.ipam.addresses();
  const calls: [string, object][] = [
    [
      'RequestPool',
      { AddressSpace: 'local', Pool: '10.81.0.0/24', SubPool: '10.81.0.0/25', Options: {}, V6: false },
    ],
    ['RequestAddress', { PoolID: at.flat, Address: '', Options: null }],
    ['ReleaseAddress', { PoolID: 'local/10.90.0.0/24/0123456789ab', Address: '10.90.0.2' }],
    ['ReleasePool', { PoolID: 'local/10.90.0.0/24/0123456789ab' }],
  ];
  const edit = fc.record({ at: fc.nat(200), drop: fc.nat(3), put: fc.uint8Array({ maxLength: 4 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...calls),
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      async ([method, body], edits) => {
        let bytes = Buffer.from(JSON.stringify(body));
        for (const { at: where, drop, put } of edits) {
          const cut = where % bytes.length;
          bytes = Buffer.concat([bytes.subarray(0, cut), put, bytes.subarray(cut + drop), Buffer.from(' ')]);
        }
        const answer = await at.post(method, bytes);
        if ('Error' in answer.body) assertRefused(answer, bytes.toString('latin1'));
        else assert.equal(answer.status, 200);
        if (typeof answer.body['PoolID'] === 'string') await at.ipam.releasePool(answer.body['PoolID']);
        // a mutated id may be that of another flat pool, which is as good as the first
        const given = at.ipam
          .addresses()
          .filter(({ address }) => !held.some((one) => one.address === address));
        for (const { address, poolId } of given) await at.ipam.releaseAddress(poolId, address);
      },
    ),
    { numRuns: 2000 },
  );
  assert.deepEqual(at.ipam.addresses(), held);
});

test('a body that is too large is answered, one that breaks off harms nobody', async () => {
  await using at = await bench();
  const before = await at.state();
  const large = await at.post('RequestPool', `{"Pool":"${'x'.repeat(3 << 20)}"}`);
  assertRefused(large, 'large');
  assert.equal(large.status, 413);
  const { port } = at.server.address() as AddressInfo;
  for (let n = 0; n < 50; n++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      `POST /IpamDriver.RequestAddress HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"PoolID":"${at.flat}","Address":""}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 2));
    socket.destroy();
  }
  assert.equal((await at.post('GetCapabilities', '')).status, 200);
  assert.deepEqual(await at.state(), before);
});
