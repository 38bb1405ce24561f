/**
 * A process that writes to a store until it is killed (`run`) or the disk is full (`fill`). Each line on stdout is a write
 * that was acknowledged.
 */
import { rmSync, writeFileSync, writeSync } from 'node:fs';
import { silentLog } from '../../base/index.ts';
import { openEmbeddedStore } from '../../kvstore/index.ts';

const [mode, file, salt] = process.argv.slice(2) as [string, string, string];
const store = await openEmbeddedStore({ file, log: silentLog });
const acknowledge = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`);

/** Large enough that the journal is folded every few hundred writes. */
const filler = 'x'.repeat(12_000);

async function write(lane: number): Promise<never> {
  for (let n = 0; ; n++) {
    const key = `lane${lane}/${n % 40}`;
    const value = { salt, n, filler };
    if (n % 7 === 3) {
      await store.apply([{ delete: key }, { delete: `${key}/twin` }]);
      acknowledge({ lane, n });
    } else {
      await store.apply([
        { put: key, value },
        { put: `${key}/twin`, value },
      ]);
      acknowledge({ lane, n });
    }
  }
}

async function fill(): Promise<void> {
  const ballast = `${file}.ballast`;
  writeFileSync(ballast, Buffer.alloc(100_000));
  let n = 0;
  const next = (): Promise<unknown> => store.put(`key${n}`, { n, filler });
  try {
    for (; ; n++) await next();
  } catch (error) {
    acknowledge({
      failed: (error as { code: string }).code,
      cause: String((error as Error).cause),
      after: n,
    });
  }
  acknowledge({ visible: (await store.list('')).length });
  rmSync(ballast);
  await next();
  acknowledge({ again: n + 1 });
  await store.close();
  const reopened = await openEmbeddedStore({ file, log: silentLog });
  acknowledge({ reopened: (await reopened.list('')).length });
  await reopened.close();
}

if (mode === 'fill') await fill();
else await Promise.all([0, 1, 2, 3].map(write));
