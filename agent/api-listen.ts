/** Serves an app on a unix socket that only root may open. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HostError } from '../base/index.ts';

export interface Listener {
  /** Stops listening, ends open streams, removes the socket. */
  close(): Promise<void>;
}

/** Whether somebody accepts connections on a unix socket. */
export function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function listen(server: Server, path: string): Promise<void> {
  const listening = once(server, 'listening');
  // The mode must be right from the first instant: a chmod would come after the socket is there. `listen` binds
  // before it returns, so nothing else is created under this mask.
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await listening;
}

const NOT_HTTP = JSON.stringify({ code: 'REQUEST_INVALID', message: 'the request is not valid HTTP' });

/** What never becomes a request still gets one line. */
function refuse(_error: Error, socket: Duplex): void {
  const head = `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n`;
  if (socket.writable) socket.end(`${head}Content-Length: ${NOT_HTTP.length}\r\n\r\n${NOT_HTTP}`);
}

/** Throws SOCKET_IN_USE where somebody answers. */
export async function refuseLive(path: string): Promise<void> {
  if (!(await isAnswering(path))) return;
  throw new HostError('SOCKET_IN_USE', `somebody answers on ${path} already`, {
    hint: 'is another weir agent running?',
  });
}

/** Replaces a socket that a dead agent left behind; throws SOCKET_IN_USE where a live one answers. */
export async function listenOnSocket(
  app: RequestListener,
  path: string,
  options: { keepAliveMs?: number } = {},
): Promise<Listener> {
  await refuseLive(path);
  const server = createServer(app);
  server.on('clientError', refuse);
  if (options.keepAliveMs !== undefined) server.keepAliveTimeout = options.keepAliveMs;
  try {
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    await listen(server, path);
  } catch (error) {
    throw new HostError('SOCKET_FAILED', `listen on ${path}`, { cause: error });
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
