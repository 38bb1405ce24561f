/**
 * Talk that tells of every loss, every millisecond, until standard input ends:
 *   talker serve PORT            sends back what comes by UDP and TCP; who asks for it by UDP is sent numbers, unasked
 *   talker talk ADDRESS PORT     sends numbers by UDP and on one TCP connection, and asks once to be sent some; says at
 *                                its end what has come
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { createConnection, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a talker says at its end. */
export interface Heard {
  sent: number;
  /** Datagrams that came back, no matter how often each. */
  datagrams: number;
  /** Bytes on the connection both ways. */
  written: number;
  read: number;
  /** Datagrams that the other end has sent of its own accord, and how many of them came. */
  pushed: number;
  pulled: number;
  /** What became of the connection, if anything did. */
  error?: string;
}

const LAST_ANSWERS_MS = 1_500;
const PUSH = 'push';
const STOP = 'stop';

function numbered(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

function serve(port: number): void {
  createServer({ noDelay: true }, (socket) => socket.on('error', () => {}).pipe(socket)).listen(
    port,
    '0.0.0.0',
  );
  const socket = createSocket('udp4');
  const stops = new Map<string, () => void>();
  const push = ({ address, port }: RemoteInfo): void => {
    let sent = 0;
    const timer = setInterval(() => socket.send(numbered(sent++), port, address), 1);
    stops.set(`${address} ${port}`, () => {
      clearInterval(timer);
      socket.send(`sent ${sent}`, port, address);
    });
  };
  socket.on('message', (bytes, from) => {
    const said = bytes.toString('latin1');
    if (said === PUSH) push(from);
    else if (said === STOP) stops.get(`${from.address} ${from.port}`)?.();
    else socket.send(bytes, from.port, from.address);
  });
  socket.bind(port, () => console.log('up'));
}

/** Counts what is sent unasked; `stop` tells the other end. */
function pull(address: string, port: number, heard: Heard): { stop: () => void } {
  const socket = createSocket('udp4');
  const seen = new Set<number>();
  heard.pushed = -1;
  socket.on('message', (bytes) => {
    const [, sent] = /^sent (\d+)$/.exec(bytes.toString('latin1')) ?? [];
    if (sent === undefined) seen.add(bytes.readUInt32LE());
    else heard.pushed = Number(sent);
    heard.pulled = seen.size;
  });
  socket.send(PUSH, port, address);
  return { stop: () => socket.send(STOP, port, address) };
}

async function talk(address: string, port: number): Promise<void> {
  const heard: Heard = { sent: 0, datagrams: 0, written: 0, read: 0, pushed: 0, pulled: 0 };
  const seen = new Set<number>();
  const stream = createConnection({ host: address, port, noDelay: true });
  stream.on('error', ({ message }) => (heard.error = message));
  stream.on('data', (bytes) => (heard.read += bytes.length));
  const socket = createSocket('udp4');
  socket.on('message', (bytes) => (heard.datagrams = seen.add(bytes.readUInt32LE()).size));
  await new Promise<void>((resolve) => stream.once('connect', resolve));
  const { stop } = pull(address, port, heard);
  console.log('up');
  const timer = setInterval(() => {
    const number = numbered(heard.sent++);
    socket.send(number, port, address);
    stream.write(number);
    heard.written += number.length;
  }, 1);
  await new Promise<void>((resolve) => process.stdin.once('end', resolve).resume());
  clearInterval(timer);
  stop();
  const isAll = (): boolean =>
    heard.datagrams === heard.sent && heard.read === heard.written && heard.pulled === heard.pushed;
  for (const end = Date.now() + LAST_ANSWERS_MS; !isAll() && Date.now() < end;) await sleep(10);
  console.log(JSON.stringify(heard));
  process.exit();
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'serve') serve(Number(rest[0]));
else if (mode === 'talk') await talk(rest[0] ?? '', Number(rest[1]));
