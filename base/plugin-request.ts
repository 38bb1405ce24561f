/**
 * Docker's plugin protocol over HTTP: one JSON object in, one JSON object out, no Content-Type on requests.
 * Both `Err` (NetworkDriver) and `Error` (IpamDriver) carry the text of a failure, so one handler serves both.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { UserError, WeirError, describeError } from './errors.ts';
import type { Log } from './log.ts';

export const PLUGIN_CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';

/** A parsed request body; read it with the functions below, which refuse wrong types by name. */
export type PluginBody = Record<string, unknown>;

/** What one call of the protocol does. What it throws becomes the user's one line. */
export interface PluginMethod {
  /** Full name, "IpamDriver.RequestPool". */
  name: string;
  /** Calls that Docker sends without a body. To all others an empty body is a retry whose outcome is unknown: refused. */
  bodyless?: boolean;
  run(body: PluginBody): object | Promise<object>;
}

export type PluginHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const BODY_LIMIT = 1 << 20;

/**
 * The handler of one method, for `router.post('/' + method.name, …)`; it reads the raw body itself.
 * A thrown WeirError answers 200 (Docker then shows "remote: text"), a malformed body 400 or 413, a bug 500.
 */
export function pluginHandler(method: PluginMethod, log: Log): PluginHandler {
  return async (request, response) => {
    try {
      const text = await readBody(request);
      answer(response, 200, await method.run(method.bodyless === true ? {} : parseBody(text)));
    } catch (error) {
      if (!request.complete) return; // the sender hung up: nobody to answer, nothing was run
      const status = statusOf(error);
      const fields = { reason: describeError(error), ...(status === 500 && { stack: stackOf(error) }) };
      log[status === 500 ? 'error' : 'warn'](`${method.name} refused`, fields);
      refuse(response, status, error);
    }
  };
}

/** The whole body; what goes beyond the limit is read and dropped, so that the sender hears the answer. */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= BODY_LIMIT) chunks.push(chunk);
  }
  if (size > BODY_LIMIT)
    throw new UserError('REQUEST_TOO_LARGE', `the request has ${size} bytes, the limit is ${BODY_LIMIT}`);
  return Buffer.concat(chunks).toString('utf8');
}

function statusOf(error: unknown): number {
  if (!(error instanceof WeirError) || error.code === 'BUG') return 500;
  return { BAD_REQUEST: 400, REQUEST_TOO_LARGE: 413 }[error.code] ?? 200;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function parseBody(text: string): PluginBody {
  if (text === '') {
    const hint = 'Docker lost the connection in the middle of a call; run the command again';
    throw new UserError('BAD_REQUEST', 'the request has no body', { hint });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError('BAD_REQUEST', 'the request is not JSON');
  }
  if (!isObject(value)) throw new UserError('BAD_REQUEST', 'the request is not a JSON object');
  return value;
}

function refuse(response: ServerResponse, status: number, error: unknown): void {
  const code = error instanceof WeirError ? error.code : 'BUG';
  const text = `${describeError(error)} [${code}]`.replace(/[\p{Cc}\u2028\u2029]+/gu, ' '); // it may quote the request
  answer(response, status, { Err: text, Error: text });
}

function answer(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'Content-Type': PLUGIN_CONTENT_TYPE }).end(JSON.stringify(body));
}

function isObject(value: unknown): value is PluginBody {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongType(key: string, want: string): UserError {
  return new UserError('BAD_REQUEST', `${key} must be ${want}`);
}

/** A text field; absent and null read as "". */
export function bodyText(body: PluginBody, key: string): string {
  const value = body[key] ?? '';
  if (typeof value !== 'string') throw wrongType(key, 'a string');
  return value;
}

/** A text field that may not be empty. */
export function requiredText(body: PluginBody, key: string): string {
  const value = bodyText(body, key);
  if (value === '') throw wrongType(key, 'a string that is not empty');
  return value;
}

/** A boolean field; absent and null read as false. */
export function bodyFlag(body: PluginBody, key: string): boolean {
  const value = body[key] ?? false;
  if (typeof value !== 'boolean') throw wrongType(key, 'true or false');
  return value;
}

/** An object field; absent and null read as {}. */
export function bodyObject(body: PluginBody, key: string): PluginBody {
  const value = body[key] ?? {};
  if (!isObject(value)) throw wrongType(key, 'an object');
  return value;
}

/** A list field; absent and null read as []. */
export function bodyList(body: PluginBody, key: string): unknown[] {
  const value = body[key] ?? [];
  if (!Array.isArray(value)) throw wrongType(key, 'a list');
  return value;
}
