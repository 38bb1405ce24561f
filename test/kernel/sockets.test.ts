/** The host's own sockets and published ports, without a datapath: what is behind a port is a server of another address. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { attachSockets, DatapathObject } from '../../bpf/index.ts';
import type { Maps } from '../../bpf/index.ts';
import { hasFeature } from '../../kernel/index.ts';
import { scratchBpffs } from './scratch.ts';

/** Stands for a container: an address that is the host's too, but published under another. */
const BACKEND = '127.7.7.7';
const PORT = 47_001;
const HOST = 1;
const PROTOCOL = { tcp: 6, udp: 17 } as const;

const bpffs = scratchBpffs();
const object = new DatapathObject({ bpffs: bpffs.path, tcx: hasFeature('tcx') });
const maps: Maps = object.maps;
const tcp = createServer((socket) => socket.resume());
const udp = createSocket('udp4', (_message, from) => udp.send('pong', from.port, from.address));
let netns = 0n;

before(async () => {
  await new Promise<void>((resolve) => tcp.listen(0, BACKEND, resolve));
  await new Promise<void>((resolve) => udp.bind(0, BACKEND, resolve));
  attachSockets(bpffs.path, (cookie) => (netns = cookie));
  configure(netns);
});
after(() => {
  tcp.close();
  udp.close();
  object.close();
  bpffs[Symbol.dispose]();
});

function configure(cookie: bigint): void {
  const config = { generation: 0, traceLevel: 0, uplink: 0, natLow: 0, natHigh: 0, flags: 0 };
  maps.config.set(0, { ...config, netns: cookie });
}

/** The port leads to this process's servers while `task` runs. */
async function published<T>(address: string, protocol: 'tcp' | 'udp', task: () => Promise<T>): Promise<T> {
  const { port } = protocol === 'tcp' ? (tcp.address() as { port: number }) : udp.address();
  const key = { address, port: PORT, protocol: PROTOCOL[protocol] };
  maps.service.set(key, { address: BACKEND, port, flags: 0, id: 1 });
  try {
    return await task();
  } finally {
    maps.service.delete(key);
  }
}

/** Whom the socket takes for its peer; the name of the error where there is none. */
function ask(host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(PORT, host, () => {
      resolve(`${socket.remoteAddress}:${socket.remotePort}`);
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

test('loopback and every other way to say this machine lead to the container, and the socket does not notice', async () => {
  await published('0.0.0.0', 'tcp', async () => {
    for (const host of ['127.0.0.1', '127.1.2.3']) assert.equal(await ask(host), `${host}:${PORT}`);
    assert.equal(await ask('::ffff:127.0.0.1'), `::ffff:127.0.0.1:${PORT}`, 'by an IPv6 socket');
  });
});

test('an address of the host does, another one does not', async () => {
  const key = { prefixLength: 128, address: '192.0.2.5' };
  maps.ipcache.set(key, { identity: HOST, flags: 0, tunnel: '::', spaces: [] });
  await published('0.0.0.0', 'tcp', async () => {
    assert.equal(await ask('192.0.2.5'), `192.0.2.5:${PORT}`);
  });
  maps.ipcache.delete(key);
});

test('a port of one address leads from there alone', async () => {
  await published('127.0.0.1', 'tcp', async () => {
    assert.equal(await ask('127.0.0.1'), `127.0.0.1:${PORT}`);
    assert.equal(await ask('127.0.0.2'), 'ECONNREFUSED');
  });
});

test('a port of one family or protocol is none of the other', async () => {
  await published('::', 'tcp', async () => assert.equal(await ask('127.0.0.1'), 'ECONNREFUSED'));
  await published('0.0.0.0', 'udp', async () => assert.equal(await ask('127.0.0.1'), 'ECONNREFUSED'));
});

test('datagrams get their answers from the port they went to, on a connected socket and on one that is not', async () => {
  await published('0.0.0.0', 'udp', async () => {
    for (const connected of [false, true]) {
      const socket = createSocket('udp4');
      const from = new Promise<string>((resolve) => {
        socket.once('message', (_text, { address, port }) => resolve(`${address}:${port}`));
      });
      if (connected) socket.connect(PORT, '127.0.0.1', () => socket.send('ping'));
      else socket.send('ping', PORT, '127.0.0.1');
      assert.equal(await from, `127.0.0.1:${PORT}`);
      socket.close();
    }
  });
});

test('sockets of another network namespace are left alone', async () => {
  const script = `require('net').connect(${PORT}, '127.0.0.1').once('error', (e) => console.log(e.code))`;
  const inside = ['--net', 'sh', '-c', `ip link set lo up; exec "$0" -e "$1"`, process.execPath, script];
  await published('0.0.0.0', 'tcp', async () => {
    assert.equal(spawnSync('unshare', inside, { encoding: 'utf8' }).stdout.trim(), 'ECONNREFUSED');
    configure(netns + 1000n);
    assert.equal(await ask('127.0.0.1'), 'ECONNREFUSED', 'nor are ours where the host is another');
    configure(0n);
    assert.equal(await ask('127.0.0.1'), 'ECONNREFUSED', 'or where it is not known');
    configure(netns);
  });
});

test('a second process takes the programs over and finds the same namespace', async () => {
  const pins = readdirSync(join(bpffs.path, 'weir', 'sockets')).length;
  let again = 0n;
  attachSockets(bpffs.path, (cookie) => (again = cookie));
  assert.equal(again, netns);
  assert.equal(readdirSync(join(bpffs.path, 'weir', 'sockets')).length, pins);
  await published('0.0.0.0', 'tcp', async () => assert.equal(await ask('127.0.0.1'), `127.0.0.1:${PORT}`));
});
