/**
 * The power goes: a file system is shut down with whatever was not synced thrown away, its journal included, and mounted
 * again. What the store acknowledged is there, and an agent starts on it.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../base/index.ts';
import { openEmbeddedStore } from '../../kvstore/index.ts';
import type { Store } from '../../kvstore/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';

// a mount that another namespace has a copy of would not go with its unmounting
enterOwnNamespace('--mount');

const ROUNDS = 50;
const LANES = 4;
/** Numbers of writes in one round; a multiple of the lanes. */
const A_ROUND = 1_000_000;
const KEYS = 20;
/** Large enough that the journal is folded now and then. */
const FILLER = 'x'.repeat(8_000);
/** ioctl EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing that is still in memory gets to the disk. */
const MAIN = fileURLToPath(new URL('../../agent/main.js', import.meta.url));

const SHUTDOWN =
  'open F, "<", $ARGV[0] or die $!; my $how = pack("L", 2); ioctl(F, 0x8004587D, $how) or die $!';

/** A file system in a file, which may lose its power. */
class Disk implements Disposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'weir-power-'));
  readonly #image = path.join(this.#folder, 'image');
  readonly mountPoint = path.join(this.#folder, 'disk');
  /** What is heard of the disk from then on nobody would have heard. */
  isCut = false;

  constructor() {
    mkdirSync(this.mountPoint);
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image, '64M']);
    this.#mount();
  }

  cut(): void {
    this.isCut = true;
    execFileSync('perl', ['-e', SHUTDOWN, this.mountPoint]);
  }

  restart(): void {
    execFileSync('umount', [this.mountPoint]);
    this.isCut = false;
    this.#mount();
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.mountPoint]);
    rmSync(this.#folder, { recursive: true });
  }

  #mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.mountPoint]);
  }
}

/** Key → number of the last write that was acknowledged, and the one that was under way, if any. */
type Written = Map<string, { acknowledged: number; underWay: number }>;

/** Writes one after the other until the disk refuses; each pair of keys in one transaction. */
async function write(disk: Disk, store: Store, written: Written, first: number): Promise<void> {
  try {
    for (let n = first; ; n++) {
      const key = `lane${first % LANES}/${n % KEYS}`;
      const entry = written.get(key) ?? { acknowledged: -1, underWay: -1 };
      written.set(key, entry);
      entry.underWay = n;
      const value = { n, filler: FILLER };
      await store.apply([
        { put: key, value },
        { put: `${key}/twin`, value },
      ]);
      if (!disk.isCut) entry.acknowledged = n;
    }
  } catch (error) {
    assert.equal((error as { code: string }).code, 'STORE_WRITE');
  }
}

/** A lock that was left names a process of the boot before, not the one that this test goes on in. */
function forgetBoot(folder: string): void {
  const locks = existsSync(folder) ? readdirSync(folder).filter((name) => name.includes('.lock')) : [];
  for (const file of locks.map((name) => path.join(folder, name))) {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    writeFileSync(file, readFileSync(file, 'utf8').replace(boot, 'the boot before'));
  }
}

/** An agent on that state; resolves when it is ready. Its Docker never answers. */
async function startAgent(state: string, folder: string): Promise<void> {
  const docker = createServer().listen(path.join(folder, 'docker.sock')).unref();
  const bpffs = path.join(folder, 'bpf');
  mkdirSync(bpffs);
  execFileSync('mount', ['-t', 'bpf', 'bpf', bpffs]);
  const settings = {
    'state-dir': state,
    'run-dir': path.join(folder, 'run'),
    'plugin-socket': path.join(folder, 'plugin.sock'),
    'docker-socket': path.join(folder, 'docker.sock'),
    bpffs,
  };
  const flags = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const agent = spawn('unshare', ['--net', process.execPath, MAIN, 'agent', ...flags], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(agent, 'exit');
  const [said] = (await Promise.race([once(agent.stdout, 'data'), ended])) as [unknown];
  assert.match(String(said), /ready/);
  agent.kill();
  assert.deepEqual(await ended, [0, null], 'ends well as soon as it is ready');
  docker.close();
  execFileSync('umount', [bpffs]);
}

async function check(store: Store, written: Written): Promise<void> {
  const entries = await store.list('');
  const found = new Map(entries.map(({ key, value }) => [key, (value as { n: number }).n]));
  for (const [key, entry] of written) {
    const n = found.get(key) ?? -1;
    assert.ok(n === entry.acknowledged || n === entry.underWay, `${key}: ${n}, ${JSON.stringify(entry)}`);
    assert.equal(found.get(`${key}/twin`) ?? -1, n, `${key} was written by half`);
    entry.acknowledged = entry.underWay = n;
  }
}

test(`the power cut ${ROUNDS} times while it writes, the store loses nothing that was acknowledged`, async () => {
  using disk = new Disk();
  const file = path.join(disk.mountPoint, 'state', 'store.json');
  const written: Written = new Map();
  let writes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const store = await openEmbeddedStore({ file, log: silentLog });
    await check(store, written);
    const first = (round + 1) * A_ROUND;
    const lanes = Array.from({ length: LANES }, (_, lane) => write(disk, store, written, first + lane));
    // sometimes in the middle of the very first write
    await sleep(Math.random() * (round % 3 === 0 ? 3 : 120));
    disk.cut();
    await Promise.all(lanes);
    await store.close().catch(() => {});
    writes += [...written.values()].filter(({ acknowledged }) => acknowledged >= first).length;
    disk.restart();
    forgetBoot(path.dirname(file));
  }
  const store = await openEmbeddedStore({ file, log: silentLog });
  await check(store, written);
  await store.close();
  await startAgent(path.dirname(file), disk.mountPoint);
  assert.ok(writes > ROUNDS, `only ${writes} writes`);
  assert.deepEqual(readdirSync(path.dirname(file)).toSorted(), ['store.json', 'store.json.journal']);
});
