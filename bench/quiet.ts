/** Waits for a machine on which nothing else runs, for a while: a measurement beside a compiler says nothing. */
import { readFileSync } from 'node:fs';
import { sleep } from './lab.ts';

const GLANCE_MS = 150;
const ENOUGH = 0.9;
const PATIENCE_MS = 3_000;

interface CpuTime {
  idle: number;
  total: number;
}

function cpuTime(): CpuTime {
  const [, ...ticks] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/);
  const counts = ticks.slice(0, 8).map(Number); // user nice system idle iowait irq softirq steal
  return { idle: (counts[3] ?? 0) + (counts[4] ?? 0), total: counts.reduce((sum, count) => sum + count, 0) };
}

/** Resolves when the CPUs idle, or after three seconds even so. */
export async function quiet(): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const before = cpuTime();
    await sleep(GLANCE_MS);
    const after = cpuTime();
    if ((after.idle - before.idle) / (after.total - before.total) >= ENOUGH) return;
  }
}
