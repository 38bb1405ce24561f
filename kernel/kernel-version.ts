/** The running kernel's version, as far as features go by it: major and minor. */
import { release } from 'node:os';

export interface KernelVersion {
  major: number;
  minor: number;
}

/** Reads "6.1.0-18-amd64" and "5.10"; 0.0 for anything else. */
export function parseKernelVersion(text: string): KernelVersion {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return { major: Number(major), minor: Number(minor) };
}

/** Whether a kernel is `since` or later. Distributions port features back, so this says "must", never "cannot". */
export function isKernelAtLeast(since: string, running: string = release()): boolean {
  const have = parseKernelVersion(running);
  const want = parseKernelVersion(since);
  return have.major > want.major || (have.major === want.major && have.minor >= want.minor);
}
