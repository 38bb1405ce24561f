/** The agent's API from this side: HTTP over its unix socket. */
import type { IncomingMessage, RequestOptions } from 'node:http';
import type { api } from '../base/index.ts';
import { CommandError, usage } from './command-error.ts';
import { printable } from './io.ts';

export const DEFAULT_HOST = 'unix:///run/weir/weir.sock';
const ANSWER_TIMEOUT_MS = 60_000;

/** Parameters left undefined are left out; lists are repeated. */
export type Query = Record<string, string | number | readonly string[] | undefined>;

interface Call {
  method?: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  query?: Query;
  body?: unknown;
  /** Longest silence; 0 for a stream. */
  timeoutMs?: number;
}

/** Path of the socket in unix:///path or a bare path. */
export function socketOf(host: string): string {
  const path = host.startsWith('unix://') ? host.slice('unix://'.length) : host;
  if (path.startsWith('/')) return path;
  throw usage(`"${host}" is not the address of an agent`, `write ${DEFAULT_HOST}`);
}

/** A path with its query, ready to be asked for. */
export function target(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? (value as string[]) : [value]) {
      if (item !== undefined) parameters.append(name, String(item));
    }
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

export class Client {
  readonly #socketPath: string;

  constructor(host: string) {
    this.#socketPath = socketOf(host);
  }

  get<T>(path: string, query?: Query): Promise<T> {
    return this.call<T>(path, query === undefined ? {} : { query });
  }

  /** The answer of one request. Throws CommandError with the agent's own words if it refuses. */
  async call<T>(path: string, call: Call): Promise<T> {
    const response = await this.#open(path, call);
    const text = await textOf(response);
    if (response.statusCode !== 200) throw this.#refusal(response, text);
    return this.#parse(text) as T;
  }

  /** The records of a stream, until `signal`. Throws CommandError when the agent ends it first. */
  async *lines<T>(path: string, query: Query, signal: AbortSignal): AsyncGenerator<T> {
    const response = await this.#open(path, { query, timeoutMs: 0 }, signal);
    if (response.statusCode !== 200) throw this.#refusal(response, await textOf(response));
    let rest = '';
    try {
      for await (const chunk of response.setEncoding('utf8')) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) yield this.#parse(line) as T;
      }
    } catch (error) {
      if (!signal.aborted && (error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    }
    if (!signal.aborted) throw new CommandError(`weir agent at ${this.#socketPath} has stopped`);
  }

  async #open(path: string, call: Call, signal?: AbortSignal): Promise<IncomingMessage> {
    const { request } = await import('node:http');
    const { method = 'GET', query, body, timeoutMs = ANSWER_TIMEOUT_MS } = call;
    const options: RequestOptions = {
      socketPath: this.#socketPath,
      agent: false,
      method,
      path: target(path, query),
      timeout: timeoutMs,
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(signal === undefined ? options : { ...options, signal }, resolve);
      outgoing.on('timeout', () =>
        outgoing.destroy(new CommandError(`weir agent at ${this.#socketPath} does not answer`)),
      );
      outgoing.on('error', (error) => reject(this.#unreachable(error)));
      if (body !== undefined) outgoing.setHeader('content-type', 'application/json');
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw new CommandError(`what answers at ${this.#socketPath} is not a weir agent`);
    }
  }

  #refusal(response: IncomingMessage, text: string): CommandError {
    const { message, hint } = this.#parse(text) as api.Error;
    if (typeof message !== 'string') return new CommandError(`weir agent answers ${response.statusCode}`);
    return new CommandError(printable(message), { hint: hint === undefined ? undefined : printable(hint) });
  }

  #unreachable(error: Error): Error {
    if (error instanceof CommandError) return error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      const hint = 'start it with "sudo weir agent" or "sudo systemctl start weir"';
      return new NotRunning(`weir agent is not running at ${this.#socketPath}`, { hint });
    }
    if (code === 'EACCES')
      return new CommandError(`no permission to open ${this.#socketPath}`, { hint: 'run it as root' });
    return new CommandError(`talk to weir agent at ${this.#socketPath}: ${error.message}`);
  }
}

/** Nobody listens on the socket. */
export class NotRunning extends CommandError {}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return text;
}
