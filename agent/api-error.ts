/** The HTTP edge: what was thrown becomes one line with a status. */
import type { ErrorRequestHandler, RequestHandler } from 'express';
import {
  BugError,
  describeError,
  HostError,
  UserError,
  WeirError,
  type api,
  type Log,
} from '../base/index.ts';

/** The request itself is wrong: a parameter, a body, a form. */
export function badRequest(message: string, hint?: string): UserError {
  return new UserError('REQUEST_INVALID', message, hint === undefined ? {} : { hint });
}

/** Refusals of express itself (body too large, bad percent-encoding) carry a status and may be told to the client. */
interface HttpError extends Error {
  status: number;
  type?: string;
}

function isHttpError(error: unknown): error is HttpError {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500;
}

function statusOf(error: unknown): number {
  if (isHttpError(error)) return error.status;
  if (error instanceof UserError) return error.code.endsWith('_NOT_FOUND') ? 404 : 400;
  if (error instanceof HostError || (error instanceof WeirError && error.retryable)) return 503;
  return 500;
}

function bodyOf(error: unknown): api.Error {
  if (isHttpError(error)) return { code: 'REQUEST_INVALID', message: oneLine(error.message) };
  const hint = error instanceof WeirError ? error.hint : undefined;
  const code = error instanceof WeirError ? error.code : 'INTERNAL';
  const known = error instanceof WeirError && !(error instanceof BugError);
  const message = known ? messageOf(error) : `the agent failed: ${messageOf(error)}`;
  return { code, message, ...(hint !== undefined && { hint: oneLine(hint) }) };
}

/** Message and causes, without the hint, which has a place of its own. */
function messageOf(error: unknown): string {
  const text = describeError(error);
  const hint = error instanceof WeirError ? error.hint : undefined;
  return oneLine(hint !== undefined && text.endsWith(` (${hint})`) ? text.slice(0, -hint.length - 3) : text);
}

/** Messages quote what clients sent: control characters would break the line, or a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

/** Last in the chain of handlers. A failure of the agent's own is logged with its stack; a client's mistake is not. */
export function answerErrors(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const status = statusOf(error);
    if (status === 500) {
      const stack = error instanceof Error ? error.stack : String(error);
      log.error(`${request.method} ${request.path} failed`, { stack });
    }
    if (response.headersSent) next(error);
    else response.status(status).json(bodyOf(error));
  };
}

/** Answers every path that no route took. */
export const answerUnknownPath: RequestHandler = (request) => {
  throw new UserError('PATH_NOT_FOUND', `${request.method} ${request.path} is not part of the API`, {
    hint: 'agent/openapi.yaml lists the paths',
  });
};
