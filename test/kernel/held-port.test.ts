import assert from 'node:assert/strict';
import { connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { holdPort, portUser } from '../../kernel/index.ts';
import type { HostPort } from '../../kernel/index.ts';

const any: HostPort = { address: '0.0.0.0', port: 0, protocol: 'tcp' };

function listen(port: number, host: string): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ port, host, exclusive: true }, () => resolve(server));
  });
}

/** A port that nobody has at the moment. */
async function freePort(): Promise<number> {
  const server = await listen(0, '127.0.0.1');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a port that is held is no server’s, under one address and under all; and free again afterwards', async () => {
  const port = await freePort();
  const held = holdPort({ ...any, port });
  await assert.rejects(listen(port, '127.0.0.1'), { code: 'EADDRINUSE' });
  await assert.rejects(listen(port, '0.0.0.0'), { code: 'EADDRINUSE' });
  assert.throws(() => holdPort({ ...any, address: '127.0.0.1', port }), { errno: 'EADDRINUSE' });
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  const server = await listen(port, '127.0.0.1');
  server.close();
});

test('the same number of the other protocol and of the other family is another port', async () => {
  const port = await freePort();
  const wanted: HostPort[] = [
    { ...any, port },
    { ...any, port, protocol: 'udp' },
    { ...any, port, address: '::' },
  ];
  const held = wanted.map(holdPort);
  assert.throws(() => holdPort({ ...any, address: '::1', port }), { errno: 'EADDRINUSE' });
  for (const each of held) each[Symbol.dispose]();
});

test('a port of a server is refused, and who has it is named', async () => {
  const server = await listen(0, '127.0.0.1');
  const { port } = server.address() as { port: number };
  assert.throws(() => holdPort({ ...any, port }), { errno: 'EADDRINUSE' });
  assert.match(portUser({ ...any, port }) ?? '', new RegExp(`^\\S+ \\(pid ${process.pid}\\)$`));
  await new Promise((resolve) => server.close(resolve));
  assert.equal(portUser({ ...any, port }), undefined);
});

test('connections that are over do not stand against it, nor do they let in a server afterwards', async () => {
  const server = await listen(0, '127.0.0.1');
  const { port } = server.address() as { port: number };
  server.on('connection', (socket) => socket.end('bye')); // who ends first waits longest
  const answer = await fetchRaw(port);
  assert.equal(answer, 'bye');
  await new Promise((resolve) => server.close(resolve));
  const held = holdPort({ ...any, port });
  for (const host of ['127.0.0.1', '0.0.0.0'])
    await assert.rejects(listen(port, host), { code: 'EADDRINUSE' });
  held[Symbol.dispose]();
});

test('an address that is none of the host’s is refused', () => {
  assert.throws(() => holdPort({ ...any, address: '192.0.2.77', port: 1 }), { errno: 'EADDRNOTAVAIL' });
});

async function fetchRaw(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
