/** Runs commands for the lab: collects what they print, never leaves one behind when its time is up. */
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';

export interface Result {
  /** Exit code; 128 + n after signal n; -1 when the time was up. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  timeoutMs?: number;
  env?: Record<string, string>;
  input?: string;
}

const SIGNAL: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGKILL: 137, SIGTERM: 143 };

/** Runs a command to its end and never rejects for its exit code. */
export async function attempt(command: string[], options: RunOptions = {}): Promise<Result> {
  const child = spawn(command[0] ?? '', command.slice(1), { env: { ...process.env, ...options.env } });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
    child.stdout.destroy(); // its own children may hold the other end for ever
    child.stderr.destroy();
  }, options.timeoutMs ?? 60_000);
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (texts.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (texts.stderr += chunk.toString()));
  child.stdin.on('error', () => undefined); // a command need not read its input
  child.stdin.end(options.input ?? '');
  const code = await exitCode(child);
  clearTimeout(timer);
  return { code: timedOut ? -1 : code, ...texts };
}

/** Like `attempt`, but rejects unless the command exits with 0; resolves to its trimmed standard output. */
export async function run(command: string[], options: RunOptions = {}): Promise<string> {
  const result = await attempt(command, options);
  if (result.code === 0) return result.stdout.trim();
  const said = `${result.stdout}${result.stderr}`.trim();
  throw new Error(
    `${command.join(' ')}: ${result.code === -1 ? 'took too long' : `exit code ${result.code}`}: ${said}`,
  );
}

/** Starts a command that the kernel ends with this process, should nobody else. */
export function background(command: string[], stdio: StdioOptions = 'pipe'): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio });
}

/** Resolves when the process has ended and its output is read; at once if it has ended before. */
export function exitCode(child: ChildProcess): Promise<number> {
  const codeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
    code ?? (signal === null ? 1 : (SIGNAL[signal] ?? 128));
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve(codeOf(child.exitCode, child.signalCode));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(codeOf(code, signal)));
  });
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

/** Asks until the answer is neither undefined nor false; rejects with `what` when the time is up. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(50);
  }
}
