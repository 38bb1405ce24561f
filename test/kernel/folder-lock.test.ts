import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { lockFolder } from '../../kernel/index.ts';
import { scratchBpffs } from './scratch.ts';

test('one holder at a time, in a bpffs too', () => {
  using bpffs = scratchBpffs();
  const held = lockFolder(bpffs.path);
  assert.ok(held);
  assert.equal(lockFolder(bpffs.path), undefined);
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  using again = lockFolder(bpffs.path);
  assert.ok(again);
});

test('a holder that is killed holds nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-lock-'));
  const kernel = new URL('../../kernel/index.js', import.meta.url).href;
  const code = `import { lockFolder } from '${kernel}'; console.log(lockFolder(process.argv[1]) !== undefined); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code, folder]);
  try {
    const [said] = (await once(holder.stdout, 'data')) as [Buffer];
    assert.equal(said.toString().trim(), 'true');
    assert.equal(lockFolder(folder), undefined);
    holder.kill('SIGKILL');
    await once(holder, 'close');
    using mine = lockFolder(folder);
    assert.ok(mine);
  } finally {
    holder.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
});

test('a folder that is not there is an error, not a lock', () => {
  assert.throws(() => lockFolder('/nowhere/at/all'), { code: 'ENOENT' });
});
