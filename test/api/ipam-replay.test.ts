/** The recorded IPAM requests of both dockerd versions, sent to weir's driver as they were. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import express from 'express';
import type { Express } from 'express';
import request from 'supertest';
import { PLUGIN_CONTENT_TYPE, silentLog } from '../../base/index.ts';
import { Ipam, createIpamDriver } from '../../ipam/index.ts';
import { openEmbeddedStore } from '../../kvstore/index.ts';
import type { Store } from '../../kvstore/index.ts';
import { DOCKER_VERSIONS, loadScenarios } from './traces.ts';
import type { RecordedAnswer, RecordedRequest, Scenario } from './traces.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-replay-'));
process.on('exit', () => rmSync(root, { recursive: true }));
let made = 0;

type Body = Record<string, unknown>;

/** Why a recorded request may be refused: the recorder accepted more than weir does. A pool of an earlier scenario is unknown. */
const EXPECTED = ['POOL_OVERLAP', 'IPAM_OPTION_UNKNOWN'];

const SHAPES: Record<string, string> = {
  'IpamDriver.GetCapabilities': 'RequiresMACAddress,RequiresRequestReplay',
  'IpamDriver.GetDefaultAddressSpaces': 'GlobalDefaultAddressSpace,LocalDefaultAddressSpace',
  'IpamDriver.RequestPool': 'Data,Pool,PoolID',
  'IpamDriver.RequestAddress': 'Address,Data',
  'IpamDriver.ReleaseAddress': '',
  'IpamDriver.ReleasePool': '',
};

/** One weir under the name of one recorded plugin, with the recorder's ids and addresses translated to its own. */
class Replay {
  readonly #file = path.join(root, String(++made), 'store.json');
  readonly #poolIds = new Map<string, string>();
  readonly #prefixes = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  /** Recorded pools that were requested and not released. */
  readonly openPools = new Set<string>();
  #store: Store | undefined;
  #app: Express | undefined;
  ipam!: Ipam;

  async restart(): Promise<void> {
    await this.#store?.close();
    this.#store = await openEmbeddedStore({ file: this.#file, log: silentLog });
    this.ipam = await Ipam.open({
      store: this.#store,
      clusterCidr: '10.210.0.0/16',
      nodePrefix: '10.210.0.0/24',
      ipv6: { clusterCidr: 'fd00:210::/48', nodePrefix: 'fd00:210::/64' },
    });
    this.#app = express().use(createIpamDriver(this.ipam, { log: silentLog }));
  }

  async close(): Promise<void> {
    await this.#store?.close();
  }

  async send(recorded: RecordedRequest, answer: RecordedAnswer | undefined): Promise<void> {
    const sent = recorded.body === undefined ? '' : `${JSON.stringify(this.#translate(recorded.body))}\n`;
    const response = await request(this.#app!)
      .post(`/${recorded.method}`)
      .set('Accept', PLUGIN_CONTENT_TYPE)
      .buffer(true)
      .parse((from, done) => {
        let text = '';
        from.on('data', (chunk: Buffer) => (text += chunk.toString()));
        from.on('end', () => done(null, JSON.parse(text)));
      })
      .unset('Content-Type')
      .send(sent === '' ? undefined : Buffer.from(sent));
    assert.equal(response.headers['content-type'], PLUGIN_CONTENT_TYPE);
    this.#judge(recorded, response.status, response.body as Body);
    this.#learn(recorded, (answer?.body ?? {}) as Body, response.body as Body);
  }

  #translate(body: Body): Body {
    const changed: Body = { ...body };
    if ('AddressSpace' in body)
      changed['AddressSpace'] = String(body['AddressSpace']).endsWith('global') ? 'global' : 'local';
    if ('Pool' in body) changed['Pool'] = this.#prefixes.get(String(body['Pool'])) ?? body['Pool'];
    if ('PoolID' in body) changed['PoolID'] = this.#poolIds.get(String(body['PoolID'])) ?? body['PoolID'];
    if ('Address' in body)
      changed['Address'] =
        this.#addresses.get(`${String(body['PoolID'])} ${String(body['Address'])}`) ??
        this.#anyPool(String(body['Address']));
    return changed;
  }

  /** Swarm repeats an address of its global pool in the local one. */
  #anyPool(address: string): string {
    for (const [key, own] of this.#addresses) if (key.endsWith(` ${address}`)) return own;
    return address;
  }

  #judge(recorded: RecordedRequest, status: number, answer: Body): void {
    if (answer['Error'] !== undefined) return this.#judgeRefusal(recorded, status, answer['Error']);
    const { method, body } = recorded;
    assert.equal(status, 200);
    assert.equal(Object.keys(answer).toSorted().join(), SHAPES[method], method);
    const asked = body?.['Pool'] ?? '';
    if (asked !== '') assert.equal(answer['Pool'], this.#prefixes.get(String(asked)) ?? asked);
    if (method === 'IpamDriver.RequestAddress')
      assert.match(String(answer['Address']), /^(\d+(\.\d+){3}\/(32|\d\d)|fd00:[0-9a-f:]+\/(128|64))$/);
  }

  #judgeRefusal({ method, body, raw }: RecordedRequest, status: number, error: unknown): void {
    const what = `${method} ${raw}: ${String(error)}`;
    assert.ok(typeof error === 'string' && error !== '' && !error.includes('\n'), what);
    const code = /\[([A-Z0-9_]+)\]$/.exec(error)?.[1] ?? '';
    if (body === undefined) assert.deepEqual([status, code], [400, 'BAD_REQUEST']);
    else if (code === 'POOL_UNKNOWN') assert.ok(!this.#poolIds.has(String(body['PoolID'])), what);
    else assert.ok(status === 200 && EXPECTED.includes(code), what);
  }

  #learn({ method, body }: RecordedRequest, recorded: Body, own: Body): void {
    const poolId = String(body?.['PoolID']);
    if (method === 'IpamDriver.RequestPool' && typeof recorded['PoolID'] === 'string') {
      this.openPools.add(recorded['PoolID']);
      if (own['PoolID'] !== undefined) this.#poolIds.set(recorded['PoolID'], String(own['PoolID']));
      if (body?.['Pool'] === '') this.#prefixes.set(String(recorded['Pool']), String(own['Pool']));
    }
    if (
      method === 'IpamDriver.RequestAddress' &&
      own['Address'] !== undefined &&
      recorded['Address'] !== undefined
    ) {
      this.#addresses.set(`${poolId} ${bare(recorded['Address'])}`, bare(own['Address']));
    }
    if (method === 'IpamDriver.ReleasePool') this.openPools.delete(poolId);
  }
}

function bare(address: unknown): string {
  return String(address).replace(/\/\d+$/, '');
}

/** All requests of a scenario, to one weir per recorded plugin; `restartAt` opens its store anew before that request. */
async function replay(
  scenario: Scenario,
  restartAt: number,
): Promise<{ replays: Replay[]; requests: number }> {
  const replays = new Map<string, Replay>();
  let requests = 0;
  for (const line of scenario.lines) {
    if (line.kind !== 'request' || !line.method.startsWith('IpamDriver.')) continue;
    const answer = scenario.lines.find(
      (other): other is RecordedAnswer =>
        other.kind === 'answer' && other.n === line.n && other.plugin === line.plugin,
    );
    const at = replays.get(line.plugin) ?? new Replay();
    if (!replays.has(line.plugin) || requests === restartAt) await at.restart();
    replays.set(line.plugin, at);
    await at.send(line, answer);
    requests++;
  }
  return { replays: [...replays.values()], requests };
}

for (const version of DOCKER_VERSIONS) {
  test(`every recorded IPAM request of dockerd ${version} is answered in form and leaves nothing behind`, async (t) => {
    let sent = 0;
    for (const [index, scenario] of loadScenarios(version).entries()) {
      await t.test(scenario.name, async () => {
        const { replays, requests } = await replay(scenario, 3 + (index % 17));
        sent += requests;
        for (const at of replays) {
          if (at.openPools.size === 0) assert.deepEqual(at.ipam.addresses(), []);
          if (at.openPools.size === 0)
            assert.equal(at.ipam.list().length, 2, 'the flat pools of both families');
          await at.close();
        }
      });
    }
    assert.ok(sent > 800, `${sent} requests`);
  });
}
