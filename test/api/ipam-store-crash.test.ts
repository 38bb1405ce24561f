/** What the store acknowledged survives kill -9; what a full disk refused was never there. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLog } from '../../base/index.ts';
import { openEmbeddedStore } from '../../kvstore/index.ts';

const root = mkdtempSync(path.join(tmpdir(), 'weir-crash-'));
process.on('exit', () => rmSync(root, { recursive: true }));
const WRITER = fileURLToPath(new URL('ipam-store-writer.js', import.meta.url));

/** Write `n` of a lane, as the writer does them one after the other. */
interface Write {
  lane: number;
  n: number;
}

/** Runs a writer and kills it after `ms` of writing; answers with what it acknowledged. */
async function writeAndKill(file: string, salt: string, ms: number): Promise<Write[]> {
  const child = spawn(process.execPath, [WRITER, 'run', file, salt], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  await once(child, 'close');
  const whole = text.slice(0, text.lastIndexOf('\n'));
  return whole.split('\n').map((line) => JSON.parse(line) as Write);
}

type Contents = Map<string, string | undefined>;

function keyOf({ lane, n }: Write): string {
  return `lane${lane}/${n % 40}`;
}

/** What the key of a write holds after it; every seventh write deletes. */
function effectOf(write: Write, salt: string): string | undefined {
  return write.n % 7 === 3 ? undefined : `${salt} ${write.n}`;
}

async function read(file: string): Promise<Contents> {
  const store = await openEmbeddedStore({ file, log: silentLog });
  const entries = await store.list('');
  await store.close();
  return new Map(
    entries.map(({ key, value }) => [
      key,
      `${(value as { salt: string }).salt} ${(value as { n: number }).n}`,
    ]),
  );
}

/** Besides what was acknowledged only the one write that each lane had under way may be there. */
function assertKept(found: Contents, expected: Contents, underWay: Write[], salt: string): void {
  for (const [key, value] of expected) {
    const next = underWay.find((write) => keyOf(write) === key);
    const isNext = next !== undefined && found.get(key) === effectOf(next, salt);
    assert.ok(found.get(key) === value || isNext, `${key}: acknowledged ${value}, found ${found.get(key)}`);
  }
}

test(
  'killed 30 times while it writes, the store loses nothing that was acknowledged',
  { timeout: 120_000 },
  async () => {
    const file = path.join(root, 'killed', 'store.json');
    let contents: Contents = new Map();
    let writes = 0;
    for (let round = 0; round < 30; round++) {
      const salt = `round${round}`;
      const acknowledged = await writeAndKill(file, salt, 5 + Math.random() * 250);
      writes += acknowledged.length;
      for (const write of acknowledged) contents.set(keyOf(write), effectOf(write, salt));
      const underWay = [0, 1, 2, 3].map((lane) => ({
        lane,
        n: acknowledged.filter((write) => write.lane === lane).length,
      }));
      const found = await read(file);
      assertKept(found, contents, underWay, salt);
      for (const key of found.keys())
        if (!key.endsWith('/twin'))
          assert.equal(found.get(`${key}/twin`), found.get(key), `${key} was written by half`);
      contents = new Map([...found].filter(([key]) => !key.endsWith('/twin')));
    }
    assert.ok(writes > 3000, `only ${writes} writes`);
    assert.deepEqual(readdirSync(path.dirname(file)).toSorted(), ['store.json', 'store.json.journal']);
  },
);

test('a write that found the disk full is not there, and writing goes on when there is room', () => {
  const folder = path.join(root, 'full');
  const script =
    'mkdir -p "$1" && mount -t tmpfs -o size=700k tmpfs "$1" && exec "$2" "$3" fill "$1/store.json"';
  const output = execFileSync(
    'unshare',
    ['--mount', 'sh', '-c', script, 'sh', folder, process.execPath, WRITER],
    { encoding: 'utf8' },
  );
  const lines = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const after = Number(lines[0]?.['after']);
  assert.ok(after > 20, output);
  assert.deepEqual(lines, [
    { failed: 'STORE_WRITE', cause: lines[0]?.['cause'], after },
    { visible: after },
    { again: after + 1 },
    { reopened: after + 1 },
  ]);
  assert.match(String(lines[0]?.['cause']), /ENOSPC/);
});
