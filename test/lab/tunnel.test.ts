/** A VPN of the host's: a device of bare packets, by which published ports are reached and containers reach others. */
import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setPolicy } from './api.ts';
import { importLabImage, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { LabNamespace } from './namespace.ts';
import { run, until } from './run.ts';

const HOST = '10.99.0.1';
const FAR = '10.99.0.2';
const HOST6 = '2001:db8:99::1';
const FAR6 = '2001:db8:99::2';
const DEVICE = 'vpn0';

let far: LabNamespace | undefined;
const tunnel = lab(
  async () => {
    far = await LabNamespace.start('far');
    return LabHost.start({ name: 'vpn' });
  },
  async (host) => {
    await importLabImage(host);
    await connect(host, far!);
    await host.run(['iptables', '-P', 'FORWARD', 'DROP']);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, '--ipv6', 'inland');
    const flags = ['-p', '8080:7', '-p', '5353:7/udp', '--label', 'id=web'];
    await start(host, 'web', { network: 'inland', flags, command: ['probe', 'mirror', '7'] });
  },
);
after(async () => {
  await far?.[Symbol.asyncDispose]();
});

async function connect(host: LabHost, other: LabNamespace): Promise<void> {
  const program = join(host.machine.folder, 'tunnel');
  const source = fileURLToPath(new URL('../../../test/lab/tunnel.c', import.meta.url));
  await run(['gcc', '-static', '-O2', '-o', program, source]);
  const ends = [host.machine, other].map(({ pid }) => `/proc/${pid}/ns/net`);
  const carrier = host.machine.background([program, DEVICE, ...ends]);
  await new Promise((resolve, reject) => {
    carrier.stdout?.once('data', resolve);
    carrier.stderr?.once('data', (said: Buffer) => reject(new Error(`the tunnel: ${said.toString()}`)));
  });
  for (const [machine, own, own6] of [
    [host.machine, HOST, HOST6],
    [other, FAR, FAR6],
  ] as const) {
    await machine.run(['ip', 'addr', 'add', `${own}/24`, 'dev', DEVICE]);
    await machine.run(['ip', 'addr', 'add', `${own6}/64`, 'dev', DEVICE, 'nodad']);
    await machine.run(['ip', 'link', 'set', DEVICE, 'up']);
  }
}

/** "who answered, who I am" */
async function fromFar(host: LabHost, protocol: string, address: string, port: number): Promise<string> {
  const probe = join(host.machine.folder, 'probe');
  return (await far!.attempt([probe, 'ask', protocol, address, String(port)])).stdout.trim();
}

for (const [name, host4or6, other] of [
  ['IPv4', HOST, FAR],
  ['IPv6', HOST6, FAR6],
] as const) {
  tunnel.test(`${name}: published ports are reached by the tunnel, and policy decides`, async (host) => {
    const seen = `${host4or6} ${other}`;
    assert.equal(await fromFar(host, 'tcp', host4or6, 8080), seen);
    assert.equal(await fromFar(host, 'udp', host4or6, 5353), seen);
    await setPolicy(host, [{ endpointSelector: { matchLabels: { id: 'web' } }, ingress: [{}] }]);
    assert.equal(await fromFar(host, 'tcp', host4or6, 8080), '');
    await setPolicy(host, []);
  });

  tunnel.test(`${name}: containers reach who is behind it, in the host’s name`, async (host) => {
    const server = far!.background([join(host.machine.folder, 'probe'), 'mirror', '9']);
    const answer = async (protocol: string): Promise<string> =>
      (await host.attemptDocker('exec', 'web', 'probe', 'ask', protocol, other, '9')).stdout.trim();
    await until('the far end answers', async () => (await answer('tcp')) === `${other} ${host4or6}`);
    assert.equal(await answer('udp'), `${other} ${host4or6}`);
    server.kill();
  });

  tunnel.test(`${name}: what is the host’s own still is`, async (host) => {
    const ping = ['busybox', 'ping', '-c', '1', '-W', '2'];
    await far!.run([...ping, host4or6]);
    await host.run([...ping, other]);
    const server = host.machine.background([join(host.machine.folder, 'probe'), 'mirror', '11']);
    await until(
      'a server of the host answers',
      async () => (await fromFar(host, 'tcp', host4or6, 11)) !== '',
    );
    server.kill();
  });
}

tunnel.test('a large file goes through both ways, segmented as the tunnel wants it', async (host) => {
  const folder = join(far!.folder, 'www');
  await far!.run(['mkdir', '-p', folder]);
  const size = 4 << 20;
  writeFileSync(join(folder, 'page'), Buffer.alloc(size, 'weir'));
  const server = far!.background(['busybox', 'httpd', '-f', '-p', '80', '-h', folder]);
  const fetch = `curl -s -m 20 -o /page http://${FAR}/page; wc -c </page`;
  await until('the file is there', async () => {
    return (await host.docker('exec', 'web', 'sh', '-c', fetch)) === String(size);
  });
  server.kill();
  const flags = ['-p', '8081:80'];
  const command = ['sh', '-c', `head -c ${size} /dev/zero >/page; exec httpd -f -p 80 -h /`];
  await start(host, 'files', { network: 'inland', flags, command });
  const page = join(far!.folder, 'page');
  await until('and back', async () => {
    await far!.attempt(['curl', '-s', '-m', '20', '-o', page, `http://${HOST}:8081/page`]);
    return existsSync(page) && statSync(page).size === size;
  });
});
