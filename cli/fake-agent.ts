/** A server on a socket of its own that answers like an agent, for the tests of the commands. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Io } from './io.ts';
import { run } from './program.ts';

type Reply = (response: ServerResponse) => void;

/** By "METHOD /path?query": the body of a 200, or whatever a function does. */
export type Answers = Record<string, unknown>;

export interface FakeAgent extends AsyncDisposable {
  socket: string;
  /** What was asked, with the bodies. */
  requests: { line: string; body: unknown }[];
  /** Runs a command line against it. */
  weir(line: string, options?: { stdin?: string; interrupted?: AbortSignal }): Promise<Ran>;
}

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs one command line in this process. */
export async function runWeir(argv: string[], change: Partial<Io> = {}): Promise<Ran> {
  const ran = { code: 0, out: '', err: '' };
  const io: Io = {
    out: (text) => void (ran.out += text),
    err: (text) => void (ran.err += text),
    env: {},
    readStdin: () => Promise.resolve(''),
    interrupted: new AbortController().signal,
    ...change,
  };
  ran.code = await run(argv, io);
  return ran;
}

/** Refuses as the agent does. */
export function refuse(status: number, body: unknown): Reply {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Splits like a shell, as far as the tests need: spaces, and single quotes around a word's part. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

export async function fakeAgent(answers: Answers): Promise<FakeAgent> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-cli-'));
  const socket = join(folder, 'weir.sock');
  const requests: FakeAgent['requests'] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      const line = `${request.method} ${request.url}`;
      requests.push({ line, body: text === '' ? undefined : JSON.parse(text) });
      const answer = answers[line];
      if (typeof answer === 'function') (answer as Reply)(response);
      else if (answer === undefined) refuse(404, { code: 'X', message: `no answer for ${line}` })(response);
      else response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    requests,
    weir: (line, { stdin = '', ...change } = {}) =>
      runWeir(words(line), {
        env: { WEIR_SOCK: socket },
        readStdin: () => Promise.resolve(stdin),
        ...change,
      }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}
