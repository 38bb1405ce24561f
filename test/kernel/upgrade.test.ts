/** Maps of another layout give place to those of this version under traffic, whatever comes in between. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DatapathObject } from '../../bpf/index.ts';
import { tearDownHost } from '../../datapath/index.ts';
import type { Datapath } from '../../datapath/index.ts';
import { BpfMap, Netlink } from '../../kernel/index.ts';
import { parsePolicy } from '../../policy/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import { needs } from '../support/needs.ts';
import * as rig from './datapath-rig.ts';
import { formerObject, goBack } from './former-layout.ts';
import { Sandbox } from './sandbox.ts';
import { scratchBpffs } from './scratch.ts';
import type { Heard } from './talker.ts';

enterOwnNamespace();

const netlink = Netlink.open();
const [WEB, DB] = [1, 2];
const PORT = 7000;
const WORLD = '192.0.2.1';
const TALKER = fileURLToPath(new URL('./talker.js', import.meta.url));
const ADOPTER = fileURLToPath(new URL('./adopting-process.js', import.meta.url));
/** Milliseconds into the commit at which an agent is killed, which takes some 10 to 30. */
const KILLS = [0, 2, 4, 6, 8, 10, 13, 16, 20, 25, 30];

/** Answers of db pass as answers alone: without its connections nothing would. */
const RULES = parsePolicy(
  JSON.stringify([
    { endpointSelector: { matchLabels: { id: String(255 + DB) } }, egressDeny: [{ toEntities: ['all'] }] },
  ]),
  'policy.json',
);

async function up(process: ChildProcess): Promise<ChildProcess> {
  const [said] = (await once(process.stdout!, 'data')) as [Buffer];
  assert.equal(said.toString().trim(), 'up');
  return process;
}

class Talk {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async between(from: Sandbox, to: Sandbox, address: string): Promise<Talk> {
    const stdio = ['pipe', 'pipe', 'inherit'] as const;
    await up(to.start([process.execPath, TALKER, 'serve', String(PORT)], [...stdio]));
    return new Talk(
      await up(from.start([process.execPath, TALKER, 'talk', address, String(PORT)], [...stdio])),
    );
  }

  /** Ends it; nothing may have been lost. */
  async isWhole(): Promise<void> {
    this.#process.stdin!.end();
    const [said] = (await once(this.#process.stdout!, 'data')) as [Buffer];
    const heard = JSON.parse(said.toString()) as Heard;
    assert.ok(heard.sent > 500 && heard.pushed > 500, JSON.stringify(heard));
    const { sent, written, pushed } = heard;
    assert.deepEqual(heard, { ...heard, datagrams: sent, read: written, pulled: pushed });
    assert.equal(heard.error, undefined);
  }
}

/** The world, two containers, and talk between them and with the world, on a datapath. */
class Stage implements AsyncDisposable {
  readonly bpffs = scratchBpffs();
  readonly tcx: boolean;
  readonly talks: Talk[] = [];
  readonly #sandboxes: Sandbox[] = [];
  #datapath: Datapath;

  private constructor(tcx: boolean) {
    this.tcx = tcx;
    this.#datapath = rig.openDatapath(this.bpffs.path, { tcx });
  }

  static async open(tcx: boolean): Promise<Stage> {
    const world = await Sandbox.open();
    const macs = { mac: '02:77:00:00:00:01', peerMac: '02:77:00:00:00:02' };
    const { index } = netlink.createVeth({ name: 'nic0', peer: 'nic0-far', mtu: 1500, ...macs });
    world.take('nic0-far');
    world.ip('address', 'add', `${WORLD}/24`, 'dev', 'eth0');
    netlink.setLinkUp(index);
    netlink.addAddress(index, '192.0.2.7/24');
    netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: WORLD });
    const stage = new Stage(tcx);
    await stage.#populate(world);
    return stage;
  }

  /** The agent of another version takes over from the one of this version. */
  async goBack(elf: Buffer): Promise<void> {
    await this.#datapath.close();
    const device = (name: string): { name: string; ifindex: number } => ({
      name,
      ifindex: netlink.link(name)!.index,
    });
    const endpoints = [WEB, DB].map((index) => device(`weir${index}`));
    await goBack(this.bpffs.path, elf, { tcx: this.tcx, endpoints, uplink: device('nic0') });
  }

  /** This version takes over. */
  async upgrade(): Promise<Datapath> {
    this.#datapath = rig.openDatapath(this.bpffs.path, { tcx: this.tcx });
    await rig.adopt(this.#datapath, [WEB, DB], RULES);
    return this.#datapath;
  }

  /** This version begins to take over and is killed some time into it. */
  async upgradeAndKill(afterMs: number): Promise<void> {
    const agent = fork(ADOPTER, [this.bpffs.path, String(this.tcx), JSON.stringify(RULES)]);
    const ended = once(agent, 'exit');
    await once(agent, 'message');
    await sleep(afterMs);
    agent.kill('SIGKILL');
    await ended;
  }

  valueSize(map: string): number {
    const pinned = BpfMap.openPinned(join(this.bpffs.path, 'weir', 'maps', map))!;
    pinned.close();
    return pinned.valueSize;
  }

  folders(): string[] {
    return readdirSync(join(this.bpffs.path, 'weir')).sort();
  }

  /** Devices would go with the sandboxes that have their other ends, in the kernel's own time. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#datapath.close();
    for (const sandbox of this.#sandboxes) await sandbox[Symbol.asyncDispose]();
    for (const { index, kind } of netlink.links()) if (kind === 'veth') await netlink.deleteLink(index);
    await tearDownHost(netlink);
    this.bpffs[Symbol.dispose]();
  }

  async #populate(world: Sandbox): Promise<void> {
    const datapath = this.#datapath;
    await datapath.start();
    datapath.enforcement.apply(RULES);
    await datapath.commit();
    this.#sandboxes.push(world);
    for (const index of [WEB, DB]) {
      const made = await datapath.createEndpoint(rig.specOf(index));
      await datapath.activateEndpoint(`endpoint-${index}`, rig.ownerOf(index));
      this.#sandboxes.push(await Sandbox.of(made, rig.specOf(index)));
    }
    const [, web, db] = this.#sandboxes as [Sandbox, Sandbox, Sandbox];
    const links = (): number => datapath.object.attached().length;
    if (this.tcx) await rig.until('links', () => links() === 3, 10_000);
    this.talks.push(await Talk.between(web, db, rig.specOf(DB).ipv4!));
    this.talks.push(await Talk.between(web, world, WORLD));
  }
}

for (const tcx of [true, false]) {
  const how = tcx ? 'links' : 'filters';
  const options = tcx ? needs('tcx') : {};
  const former = formerObject();

  test(`another layout and back, by ${how}: no packet is lost, connections survive`, options, async () => {
    await using stage = await Stage.open(tcx);
    const size = stage.valueSize('weir_ct');
    await sleep(300);
    await stage.goBack(former);
    assert.equal(stage.valueSize('weir_ct'), size + 8);
    await sleep(300);
    const datapath = await stage.upgrade();
    assert.equal(stage.valueSize('weir_ct'), size);
    assert.deepEqual(stage.folders(), ['links', 'maps', 'sockets']);
    const translated = [...datapath.object.maps.ct.entries()].filter(([, { natPort }]) => natPort !== 0);
    assert.ok(translated.length >= 2, 'translated connections are known');
    await sleep(300);
    for (const talk of stage.talks) await talk.isWhole();
  });

  test(
    `killed at any point of the way, by ${how}: the next one goes on, and nothing is lost`,
    options,
    async () => {
      await using stage = await Stage.open(tcx);
      const size = stage.valueSize('weir_ct');
      for (const afterMs of KILLS) {
        if (stage.valueSize('weir_ct') === size) await stage.goBack(former);
        await stage.upgradeAndKill(afterMs);
      }
      await stage.upgrade();
      assert.deepEqual(stage.folders(), ['links', 'maps', 'sockets']);
      for (const talk of stage.talks) await talk.isWhole();
    },
  );

  test(
    `an uplink that goes, or goes and comes again, keeps no takeover from its end, by ${how}`,
    options,
    async () => {
      using bpffs = scratchBpffs();
      const macs = { mac: '02:77:00:00:00:01', peerMac: '02:77:00:00:00:02' };
      const devices = ['nic0', 'nic1', 'nic2'].map((name) => {
        const { index } = netlink.createVeth({ name, peer: `${name}-far`, mtu: 1500, ...macs });
        return { name, ifindex: index };
      });
      const attachAll = async (object: DatapathObject): Promise<void> => {
        for (const device of devices) await object.attach('from_uplink', device, 'ingress');
      };
      const before = new DatapathObject({ bpffs: bpffs.path, tcx, elf: former });
      await attachAll(before);
      before.close();
      const after = new DatapathObject({ bpffs: bpffs.path, tcx });
      await attachAll(after);
      const [gone, back] = [devices[0]!, devices[1]!];
      await netlink.deleteLink(gone.ifindex);
      await after.detach(back.name);
      await after.attach('from_uplink', back, 'ingress');
      await after.takeOver();
      assert.deepEqual(readdirSync(join(bpffs.path, 'weir')).sort(), ['links', 'maps']);
      after.close();
      for (const { ifindex } of devices) await netlink.deleteLink(ifindex);
    },
  );
}
