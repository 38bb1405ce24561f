/** IPv6 beside IPv4 on one Docker host: addresses, ways, policy, and what survives a killed agent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after } from 'node:test';
import type { api } from '../../base/index.ts';
import { Packet } from '../support/packet.ts';
import { ask, setPolicy } from './api.ts';
import { addressOf, importLabImage, reaches, remove, start, startDual } from './cast.ts';
import type { Dual } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { Lan } from './lan.ts';
import { lab } from './lab-test.ts';
import type { LabNamespace } from './namespace.ts';
import { send, startReceiver, finish } from './probe.ts';
import type { Tally } from './probe.ts';

const HOST6 = '2001:db8:77::1';
const WORLD6 = '2001:db8:77::2';

let segment: Lan | undefined;
let neighbour: LabNamespace;
let web: Dual;
let box: Dual;

async function create(host: LabHost, name: string, ...flags: string[]): Promise<void> {
  await host.docker('network', 'create', ...DRIVERS, '--ipv6', ...flags, name);
}

const six = lab(
  async () => {
    segment = await Lan.start('segment6');
    neighbour = await segment.neighbour('neighbour6', '192.168.78.2/24', `${WORLD6}/64`);
    neighbour.background(['busybox', 'nc', '-ll', '-p', '80', '-e', 'printf', 'HTTP/1.0 200 OK\r\n\r\n']);
    const lan = { segment, address: '192.168.78.1/24', address6: `${HOST6}/64`, gateway6: WORLD6 };
    return await LabHost.start({ name: 'six', lan });
  },
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await create(host, 'both');
    web = await startDual(host, 'web', { network: 'both', labels: ['role=web'] });
    box = await startDual(host, 'box', { network: 'both', labels: ['role=box'] });
  },
);
after(async () => {
  await segment?.[Symbol.asyncDispose]();
});

const PING = ['busybox', 'ping', '-c', '1', '-W', '1'];

async function pings(host: LabHost, from: string, to: string): Promise<boolean> {
  return (await host.attemptDocker('exec', from, ...PING, to)).code === 0;
}

six.test('containers get small addresses of both families and reach each other by either', async (host) => {
  assert.match(web.ipv6, /^fd[0-9a-f:]+::2$/);
  assert.match(box.ipv6, /^fd[0-9a-f:]+::3$/);
  for (const to of [web.ipv4, web.ipv6]) {
    assert.ok(await reaches(host, 'box', to), to);
    assert.ok(await pings(host, 'box', to), to);
  }
  assert.ok(await reaches(host, 'box', 'web'), 'by name');
  const listed = (await ask<api.Endpoint[]>(host, '/v1/endpoints')).find(
    (item) => item.containerName === 'web',
  );
  assert.deepEqual([listed?.ipv4, listed?.ipv6], [web.ipv4, web.ipv6]);
  const found = await host.weirJson<api.Endpoint>('endpoint', 'get', `ipv6:${web.ipv6}`);
  assert.equal(found.containerName, 'web');
});

six.test('every datagram arrives, the first one included', async (host) => {
  const options = { network: 'both', labels: ['role=target'] };
  await startReceiver(host, 'target', { ...options, port: 9000 });
  const to = await addressOf(host, 'target', 'both', 6);
  const stream = { tag: 'x', to, port: 9000, count: 50, intervalUs: 500, fresh: true };
  assert.equal(await send(host, { network: 'both' }, stream), 50);
  assert.deepEqual(await finish<Record<string, Tally>>(host, 'target'), { x: { received: 50, last: 49 } });
});

/** Of the drops told so far, those for a reason. */
async function drops(host: LabHost, reason: number): Promise<number> {
  const metrics = await ask<api.BpfMetric[]>(host, '/v1/bpf/metrics');
  return metrics.reduce((sum, item) => sum + (item.reasonCode === reason ? item.packets : 0), 0);
}

six.test(
  'what containers say to their neighbourhood ends there, and none makes itself a router',
  async (host) => {
    assert.ok((await drops(host, 201)) > 0, 'what a kernel says when its interface comes up is counted');
    const { mac } = await ask<api.Endpoint>(host, '/v1/endpoints/container-name:box');
    const before = await drops(host, 176);
    // lifetime of an hour, and a prefix to take an address from
    const prefix = Buffer.from('030440c000000e1000000e1000000000200107df000000000000000000000000', 'hex');
    const advertisement = new Packet()
      .ethernet({ source: mac, destination: '33:33:00:00:00:01' })
      .ip({ source: 'fe80::bad', destination: 'ff02::1', ttl: 255 })
      .icmp({ type: 134, code: 0, id: 0x4000, sequence: 3600 })
      .payload(Buffer.concat([Buffer.alloc(8), prefix]));
    const said = await host.docker(
      'exec',
      'box',
      'probe',
      'raw',
      'eth0',
      '3',
      '65535',
      advertisement.bytes().toString('hex'),
    );
    assert.deepEqual(JSON.parse(said), { sent: 3 });
    assert.equal((await drops(host, 176)) - before, 3);
    assert.doesNotMatch(await host.run(['ip', '-6', 'route']), /proto ra|2001:7df/);
    assert.doesNotMatch(await host.docker('exec', 'web', 'ip', '-6', 'route'), /2001:7df/);
  },
);

six.test('host and containers reach each other, under the address of the node', async (host) => {
  assert.equal(await host.run(['curl', '-s', '-m', '3', `http://[${web.ipv6}]`]), 'web');
  await host.run([...PING, web.ipv6]);
  const node = web.ipv6.replace(/::2$/, '::1');
  assert.match(await host.run(['ip', '-6', 'route', 'get', web.ipv6]), new RegExp(`src ${node}`));
  for (const to of [node, HOST6]) assert.ok(await pings(host, 'web', to), to);
  const listener = host.machine.background(['busybox', 'nc', '-ll', '-p', '7000', '-e', 'echo', 'host']);
  const said = await host.docker('exec', 'web', 'sh', '-c', `nc -w 3 ${HOST6} 7000 </dev/null`);
  assert.equal(said, 'host');
  listener.kill('SIGKILL');
});

six.test('the world is reached under the host’s own address, and the host stays no router', async (host) => {
  const sniffer = neighbour.background(['tcpdump', '-lnni', 'eth0', '-c', '1', 'ip6 and tcp dst port 80']);
  let seen = '';
  sniffer.stdout?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  const heard = once(sniffer, 'close', { signal: AbortSignal.timeout(5_000) });
  await new Promise((resolve) => {
    sniffer.stderr?.once('data', resolve);
  });
  assert.ok(await reaches(host, 'box', WORLD6));
  assert.ok(await pings(host, 'box', WORLD6));
  await heard;
  assert.match(seen, new RegExp(`IP6 ${HOST6}\\.6[1-5]\\d{3} > `));
  const refused = await host.attemptDocker('exec', 'box', 'curl', '-s', '-m', '3', `http://[${WORLD6}]:9`);
  assert.equal(refused.code, 7, 'connection refused, at once');
  assert.equal(await host.run(['cat', '/proc/sys/net/ipv6/conf/all/forwarding']), '0');
  await neighbour.run(['ip', 'route', 'replace', `${box.ipv6}/128`, 'via', HOST6]);
  const direct = ['curl', '-s', '--connect-timeout', '1.5', `http://[${box.ipv6}]`];
  assert.equal((await neighbour.attempt(direct)).code, 28, 'the world does not reach a container');
});

six.test('a new address of the uplink is followed', async (host) => {
  const uplink = async (): Promise<string> =>
    (await ask<api.Status>(host, '/v1/status')).components['uplink']?.message ?? '';
  assert.match(await uplink(), new RegExp(HOST6));
  await host.run(['ip', 'addr', 'add', '2001:db8:77::7/64', 'dev', 'eth0', 'nodad']);
  await host.run(['ip', 'addr', 'del', `${HOST6}/64`, 'dev', 'eth0']);
  await host.run(['sleep', '0.5']);
  assert.match(await uplink(), /2001:db8:77::7/);
  assert.ok(await reaches(host, 'box', WORLD6));
  await host.run(['ip', 'addr', 'add', `${HOST6}/64`, 'dev', 'eth0', 'nodad']);
  await host.run(['ip', 'addr', 'del', '2001:db8:77::7/64', 'dev', 'eth0']);
});

six.test('subnets of both families, --ip6, a gateway of one’s own, and two networks', async (host) => {
  const subnets = ['--subnet', '10.79.0.0/24', '--subnet', 'fd00:79::/64', '--gateway', 'fd00:79::fe'];
  await create(host, 'chosen', ...subnets);
  const flags = ['--ip', '10.79.0.9', '--ip6', 'fd00:79::9'];
  const fixed = await startDual(host, 'fixed', { network: 'chosen', flags });
  assert.deepEqual(fixed, { ipv4: '10.79.0.9', ipv6: 'fd00:79::9' });
  assert.match(await host.docker('exec', 'fixed', 'ip', '-6', 'route'), /default via fd00:79::fe/);
  const taken = await host.attemptDocker(
    'run',
    '--rm',
    '--network',
    'chosen',
    '--ip6',
    'fd00:79::9',
    'lab',
    'true',
  );
  assert.match(taken.stderr, /fd00:79::9 is in use/);
  assert.equal(await reaches(host, 'fixed', web.ipv6), false, 'networks stay apart');
  await host.docker('network', 'connect', 'both', 'fixed');
  assert.deepEqual(
    [await reaches(host, 'fixed', web.ipv6), await reaches(host, 'fixed', fixed.ipv6)],
    [true, true],
  );
  assert.ok(await reaches(host, 'box', await addressOf(host, 'fixed', 'both', 6)));
  await remove(host, 'fixed');
  await host.docker('network', 'rm', 'chosen');
});

six.test('a network of IPv6 alone works where Docker knows of such', async (host) => {
  const isAlone = (await host.dockerdMajor()) >= 28;
  // an older dockerd, or its client, does not know of it: it makes a network of both families
  const flags = [...DRIVERS, '--ipv6', ...(isAlone ? ['--ipv4=false'] : [])];
  await host.docker('network', 'create', ...flags, 'sole');
  const sole = await startDual(host, 'sole', { network: 'sole' });
  await start(host, 'other', { network: 'sole' });
  assert.equal(sole.ipv4 === '', isAlone);
  if (isAlone) assert.equal(await host.docker('exec', 'other', 'ip', '-4', 'route'), '');
  assert.ok(await reaches(host, 'other', sole.ipv6));
  assert.ok(await reaches(host, 'other', WORLD6));
  assert.equal(await reaches(host, 'other', web.ipv6), false);
  assert.equal(await host.run(['curl', '-s', '-m', '3', `http://[${sole.ipv6}]`]), 'sole');
  await remove(host, 'sole', 'other');
  await host.docker('network', 'rm', 'sole');
});

six.test('an internal network leads nowhere else in either family', async (host) => {
  await create(host, 'cellar', '--internal');
  const first = await startDual(host, 'hermit', { network: 'cellar' });
  await start(host, 'sibling', { network: 'cellar' });
  assert.deepEqual(
    [await reaches(host, 'sibling', first.ipv6), await reaches(host, 'sibling', WORLD6)],
    [true, false],
  );
  for (const address of [first.ipv4, `[${first.ipv6}]`])
    assert.equal(await host.run(['curl', '-s', '-m', '3', `http://${address}`]), 'hermit');
  await remove(host, 'hermit', 'sibling');
  await host.docker('network', 'rm', 'cellar');
});

six.test('policy by IPv6 range, by message and by label decides', async (host) => {
  const subject = { endpointSelector: { matchLabels: { role: 'box' } } };
  const echo = { icmps: [{ fields: [{ family: 'IPv6', type: 'EchoRequest' }] }] };
  const verdicts: [object, { world: boolean; ping: boolean; peer: boolean }][] = [
    [{ toCIDR: ['::/0'] }, { world: true, ping: true, peer: false }],
    [{ toCIDR: ['0.0.0.0/0'] }, { world: false, ping: false, peer: false }],
    [
      { toCIDRSet: [{ cidr: '2001:db8::/32', except: [`${WORLD6}/128`] }] },
      { world: false, ping: false, peer: false },
    ],
    [
      { toCIDRSet: [{ cidr: '2001:db8::/32', except: ['2001:db8:1::/48'] }] },
      { world: true, ping: true, peer: false },
    ],
    [echo, { world: false, ping: true, peer: false }],
    [{ toEndpoints: [{ matchLabels: { role: 'web' } }] }, { world: false, ping: false, peer: true }],
  ];
  for (const [section, expected] of verdicts) {
    await setPolicy(host, [{ ...subject, egress: [section] }]);
    const [world, ping, peer] = await Promise.all([
      reaches(host, 'box', WORLD6),
      pings(host, 'box', WORLD6),
      reaches(host, 'box', web.ipv6),
    ]);
    assert.deepEqual({ world, ping, peer }, expected, JSON.stringify(section));
  }
  await setPolicy(host, []);
});

six.test('a killed agent leaves IPv6 as it was, and its successor takes it over', async (host) => {
  const rules = [
    {
      endpointSelector: { matchLabels: { role: 'web' } },
      ingress: [{ fromEndpoints: [{ matchLabels: { role: 'box' } }] }],
    },
  ];
  await setPolicy(host, rules);
  await start(host, 'stranger', { network: 'both' });
  const both = async (): Promise<boolean[]> => [
    await reaches(host, 'box', web.ipv6),
    await reaches(host, 'stranger', web.ipv6),
  ];
  const endpoints = async (): Promise<api.Endpoint[]> =>
    (await ask<api.Endpoint[]>(host, '/v1/endpoints')).toSorted((a, b) => a.id - b.id);
  const before = await endpoints();
  await host.killAgent();
  assert.deepEqual(await both(), [true, false]);
  await host.agent();
  assert.deepEqual(await both(), [true, false]);
  assert.deepEqual(await endpoints(), before);
  await setPolicy(host, []);
  await remove(host, 'stranger');
});

six.test('nothing is left of what went: no route, no neighbour, no address in use', async (host) => {
  await remove(host);
  await host.docker('network', 'rm', 'both');
  assert.equal(await host.run(['ip', '-6', 'route', 'show', 'table', '210']), '');
  assert.doesNotMatch(await host.run(['ip', '-6', 'neigh', 'show', 'nud', 'permanent']), /weir/);
  const pools = await ask<api.Pool[]>(host, '/v1/ipam');
  assert.deepEqual(
    pools.map(({ allocated }) => allocated),
    [0, 0],
  );
});
