/** One run of `weir agent` inside a lab host, with everything it says. */
import type { ChildProcess } from 'node:child_process';
import { exitCode, sleep } from './run.ts';

const READY = /\bready\b/;

export class AgentProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #stdout = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    const keep = (chunk: Buffer): void =>
      void this.#lines.push(...chunk.toString().split('\n').filter(Boolean));
    child.stderr?.on('data', keep);
    child.stdout?.on('data', keep);
    child.stdout?.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()));
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the agent has said that it is ready; rejects with its last lines when it ends or takes too long. */
  async ready(timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!READY.test(this.#stdout)) {
      if (!this.running) throw new Error(`the agent ended before it was ready:\n${this.tail()}`);
      if (Date.now() > deadline)
        throw new Error(`the agent is not ready after ${timeoutMs} ms:\n${this.tail()}`);
      await sleep(10);
    }
  }

  /** The last lines of standard output and error. */
  tail(lines = 60): string {
    return this.#lines.slice(-lines).join('\n');
  }

  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL, without warning. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<number> {
    const ended = exitCode(this.#child);
    if (this.running) this.#child.kill(signal);
    return await ended;
  }
}
