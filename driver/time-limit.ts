import { setMaxListeners } from 'node:events';

/**
 * Runs a task with a signal that aborts after so long, or with `parent`. By a timer of its own: AbortSignal.timeout and
 * AbortSignal.any of Node 20 may be collected before they fire, and do not keep the process alive.
 */
export async function withinMs<T>(
  ms: number,
  task: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  const limit = new AbortController();
  setMaxListeners(0, limit.signal); // a task may ask about all networks at once, with a listener for each
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${ms} ms`)), ms);
  const stop = (): void => limit.abort(parent?.reason);
  if (parent?.aborted === true) stop();
  parent?.addEventListener('abort', stop, { once: true });
  try {
    return await task(limit.signal);
  } finally {
    clearTimeout(timer);
    parent?.removeEventListener('abort', stop);
  }
}
