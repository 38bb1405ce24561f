/** Containers and the world: a neighbour of the host's LAN that knows nothing of containers. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setPolicy } from './api.ts';
import { addressOf, importLabImage, reaches, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { Lan } from './lan.ts';
import { after } from 'node:test';
import { lab } from './lab-test.ts';
import type { LabNamespace } from './namespace.ts';
import { exitCode } from './run.ts';

const HOST = '192.168.77.1';
const WORLD = '192.168.77.2';
const PAGE = 'the world';

let segment: Lan | undefined;
let neighbour: LabNamespace;
const world = lab(
  async () => {
    segment = await Lan.start('segment');
    neighbour = await segment.neighbour('neighbour', `${WORLD}/24`);
    const page = join(neighbour.folder, 'www');
    await neighbour.run(['mkdir', '-p', page]);
    writeFileSync(join(page, 'index.html'), PAGE);
    neighbour.background(['busybox', 'httpd', '-f', '-p', '80', '-h', page]);
    return await LabHost.start({ name: 'inside', lan: { segment, address: `${HOST}/24`, gateway: WORLD } });
  },
  async (host) => {
    await importLabImage(host);
    await host.run(['iptables', '-P', 'FORWARD', 'DROP']); // dockerd does so where it switches forwarding on itself
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, 'inland');
    await start(host, 'box', { network: 'inland' });
  },
);
after(async () => {
  await segment?.[Symbol.asyncDispose]();
});

world.test(
  'a container reaches the world, although FORWARD drops, and the world sees the host',
  async (host) => {
    const sniffer = neighbour.background(['tcpdump', '-lnni', 'eth0', '-c', '1', 'tcp dst port 80']);
    let seen = '';
    sniffer.stdout?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    await new Promise((resolve) => {
      sniffer.stderr?.once('data', resolve);
    });
    assert.equal(await host.docker('exec', 'box', 'curl', '-s', '-m', '3', `http://${WORLD}`), PAGE);
    await exitCode(sniffer);
    assert.match(seen, new RegExp(`IP ${HOST.replaceAll('.', '\\.')}\\.6[1-5]\\d{3} > `));
  },
);

world.test(
  'echo requests are answered, and an unreachable port is reported to the container',
  async (host) => {
    await host.docker('exec', 'box', 'ping', '-c', '2', '-W', '2', WORLD);
    const refused = await host.attemptDocker('exec', 'box', 'curl', '-s', '-m', '3', `http://${WORLD}:9`);
    assert.equal(refused.code, 7, 'connection refused, at once');
  },
);

world.test('a megabyte each way comes through whole', async (host) => {
  const page = join(neighbour.folder, 'www', 'big');
  writeFileSync(page, Buffer.alloc(4 << 20, 'weir'));
  const length = await host.docker('exec', 'box', 'sh', '-c', `curl -s -m 20 http://${WORLD}/big | wc -c`);
  assert.equal(Number(length), 4 << 20);
});

world.test('the world cannot reach a container, not even when it knows the way', async (host) => {
  const address = await addressOf(host, 'box', 'inland');
  await neighbour.run(['ip', 'route', 'replace', `${address}/32`, 'via', HOST]);
  const refused = await neighbour.attempt(['curl', '-s', '--connect-timeout', '1.5', `http://${address}`]);
  assert.equal(refused.code, 28, 'times out');
});

world.test('toCIDRSet with except, toEntities world, and an internal network', async (host) => {
  await start(host, 'guarded', { network: 'inland', labels: ['role=guarded'] });
  const guarded = { endpointSelector: { matchLabels: { role: 'guarded' } } };
  const verdicts: [object, boolean][] = [
    [{ toCIDR: ['192.168.77.0/24'] }, true],
    [{ toCIDRSet: [{ cidr: '192.168.77.0/24', except: [`${WORLD}/32`] }] }, false],
    [{ toEntities: ['world'] }, true],
    [{ toEntities: ['host'] }, false],
    [{ toEntities: ['world'], toPorts: [{ ports: [{ port: '443', protocol: 'TCP' }] }] }, false],
  ];
  for (const [section, allowed] of verdicts) {
    await setPolicy(host, [{ ...guarded, egress: [section] }]);
    assert.equal(await reaches(host, 'guarded', WORLD), allowed, JSON.stringify(section));
  }
  await setPolicy(host, []);
  await host.docker('network', 'create', ...DRIVERS, '--internal', 'cellar');
  const first = await start(host, 'hermit', { network: 'cellar' });
  await start(host, 'sibling', { network: 'cellar' });
  assert.deepEqual(
    [await reaches(host, 'hermit', WORLD), await reaches(host, 'sibling', first)],
    [false, true],
  );
  await remove(host, 'guarded', 'hermit', 'sibling');
});
