/** What the agent costs while nothing happens, with 100 endpoints: its memory, the kernel's for its maps, its CPU. */
import { readFileSync } from 'node:fs';
import { sleep } from './lab.ts';
import type { Bar, FigureRow, Report } from './report.ts';
import { spread } from './spread.ts';
import { NETWORKS } from './stage.ts';
import type { Stage } from './stage.ts';

const ENDPOINTS = 100;
const IDLE_MS = 20_000;
const SETTLE_MS = 5000;
const KIB_PER_MB = 1024;
const BYTES_PER_MB = 1024 * 1024;
const TICKS_PER_SECOND = 100;

function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / KIB_PER_MB;
}

/** CPU time of a process so far, in seconds. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function idlePercent(pid: number): Promise<number> {
  const before = cpuSeconds(pid);
  await sleep(IDLE_MS);
  return ((cpuSeconds(pid) - before) / (IDLE_MS / 1000)) * 100;
}

/** What the kernel says that the pinned maps hold, in MB. */
async function mapMemory({ host }: Stage): Promise<Map<string, number>> {
  const pins = (await host.run(['find', '/sys/fs/bpf', '-type', 'f'])).split('\n').filter(Boolean);
  const sizes = new Map<string, number>();
  for (const pin of pins) {
    const shown = await host.attempt(['bpftool', '-j', 'map', 'show', 'pinned', pin]);
    if (shown.code !== 0) continue; // a program or a link
    const map = JSON.parse(shown.stdout) as { name: string; bytes_memlock: number };
    sizes.set(map.name, map.bytes_memlock / BYTES_PER_MB);
  }
  return sizes;
}

function row(what: string, unit: string, value: number, bar?: Bar): FigureRow {
  return { what, unit, value: spread([value]), rounds: 1, ...(bar === undefined ? {} : { bar }) };
}

export async function footprint(stage: Stage): Promise<Report> {
  await stage.restartAgent(); // earlier benches have left their garbage in it
  for (let index = 0; index < ENDPOINTS; index++)
    await stage.start(`idle-${index}`, NETWORKS.weir, ['sleep', '1d'], [`number=${index}`]);
  await sleep(SETTLE_MS);
  const grown = memory(stage.agentPid, 'VmRSS');
  const peak = memory(stage.agentPid, 'VmHWM');
  const idle = await idlePercent(stage.agentPid);
  await stage.restartAgent();
  await sleep(SETTLE_MS);
  const maps = await mapMemory(stage);
  const largest = [...maps].toSorted(([, a], [, b]) => b - a).slice(0, 4);
  const total = [...maps.values()].reduce((sum, size) => sum + size, 0);
  return {
    title: stage.titled(`Footprint with ${ENDPOINTS} endpoints`),
    figures: [
      row('agent: resident memory', 'MB', grown, { atMost: 120 }),
      row('agent: resident memory after a restart', 'MB', memory(stage.agentPid, 'VmRSS'), { atMost: 120 }),
      row('agent: most resident memory so far', 'MB', peak),
      row('agent: CPU while idle', '%', idle, { atMost: 1 }),
      row('pinned maps', 'MB', total, { atMost: 32 }),
      ...largest.map(([name, size]) => row(`pinned maps: ${name}`, 'MB', size)),
    ],
  };
}
