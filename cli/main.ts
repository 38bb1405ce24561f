/**
 * Entry of every `weir` command but `agent` and `cleanup`: a client of the agent's API, for people and for scripts.
 *
 * Promise: exit code 0 is fine, 1 is failed or unhealthy, 2 is a wrong command line; what goes wrong is one line on
 * stderr; -o json is stable and is what openapi.yaml says. Never: touches Docker, the kernel or the agent's files.
 * Trap: it starts in a blink because it loads little; of base/ it takes types alone.
 */
import type { Io } from './io.ts';
import { run } from './program.ts';

const ending = new AbortController();

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += String(chunk);
  return text;
}

const io: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
  readStdin,
  interrupted: ending.signal,
};

// Whoever reads has seen enough (`weir endpoint list | head -1`): that is an end, not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => ending.abort());
}

process.exitCode = await run(process.argv.slice(2), io);
