/** A hostile container with raw sockets, a host with something to steal, and images that lie about who they are. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import type { api } from '../../base/index.ts';
import { ipBytes, macBytes, Packet } from '../support/packet.ts';
import { ask, identified, setPolicy } from './api.ts';
import { IMAGE, addressOf, importLabImage, reaches, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { CHECKOUT, LabHost } from './host.ts';
import { Lan } from './lan.ts';
import { lab } from './lab-test.ts';
import type { LabNamespace } from './namespace.ts';
import { finish, sendCommand, startReceiver } from './probe.ts';
import type { Tally } from './probe.ts';
import { until } from './run.ts';

const NETWORK = 'net';
const HOST = '192.168.79.1';
const CLOUD = '192.168.79.2';
const METADATA = '169.254.169.254';
const PORT = 9000;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** Loose source route over the host, padded to words (RFC 791). */
const SOURCE_ROUTE = Buffer.from([131, 7, 4, 192, 168, 79, 1, 1]);

let segment: Lan | undefined;
let cloud: LabNamespace;
const security = lab(
  async () => {
    segment = await Lan.start('cloud-lan');
    cloud = await segment.neighbour('cloud', `${CLOUD}/24`);
    await cloud.run(['ip', 'addr', 'add', `${METADATA}/32`, 'dev', 'eth0']);
    const serve = 'mkdir -p www && echo secret >www/index.html && exec busybox httpd -f -p 80 -h www';
    cloud.background(['sh', '-c', `cd ${cloud.folder} && ${serve}`]);
    return await LabHost.start({ name: 'security', lan: { segment, address: `${HOST}/24`, gateway: CLOUD } });
  },
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, '--ipv6', NETWORK);
  },
);
after(async () => {
  await segment?.[Symbol.asyncDispose]();
});

/** A container's place on the network, as its own frames name it. */
interface Place {
  ip: string;
  ip6: string;
  mac: string;
  gatewayMac: string;
}

async function placeOf(host: LabHost, name: string): Promise<Place> {
  const endpoint = await ask<api.Endpoint>(host, `/v1/endpoints/container-name:${name}`);
  const said = await host.run(['ip', '-j', 'link', 'show', 'dev', endpoint.interface]);
  const [link] = JSON.parse(said) as { address: string }[];
  return { ip: endpoint.ipv4, ip6: endpoint.ipv6, mac: endpoint.mac, gatewayMac: link?.address ?? '' };
}

/** Sends frames from inside a container; `vary` is where copies of one differ. */
async function sendRaw(
  host: LabHost,
  from: string,
  frames: Buffer[],
  { copies = 1, vary = 0xffff } = {},
): Promise<void> {
  const hex = frames.map((frame) => frame.toString('hex'));
  const said = await host.docker('exec', from, 'probe', 'raw', 'eth0', String(copies), String(vary), ...hex);
  assert.deepEqual(JSON.parse(said), { sent: frames.length * copies });
}

/** Packets dropped so far, by reason. */
async function drops(host: LabHost): Promise<Map<number, number>> {
  const counted = new Map<number, number>();
  for (const { reasonCode, packets } of await ask<api.BpfMetric[]>(host, '/v1/bpf/metrics'))
    counted.set(reasonCode, (counted.get(reasonCode) ?? 0) + packets);
  return counted;
}

/** A datagram of the probe's own making, told apart by its letter. */
function datagram(from: Place, to: Place, tag: string): Packet {
  return new Packet()
    .ethernet({ source: from.mac, destination: from.gatewayMac })
    .ip({ source: from.ip, destination: to.ip })
    .udp({ sourcePort: 40_000, destinationPort: PORT })
    .payload(Buffer.from([tag.charCodeAt(0), 0, 0, 0, 0, 0, 0, 0]));
}

const target = { matchLabels: { role: 'target' } };
const from = (role: string): object => ({ fromEndpoints: [{ matchLabels: { role } }] });
const port = (number: number, protocol: string): object => ({
  toPorts: [{ ports: [{ port: String(number), protocol }] }],
});
/** target hears its friend on PORT, and anybody of the network elsewhere. */
const FRIENDS_ONLY = [
  {
    endpointSelector: target,
    ingress: [
      { ...from('friend'), ...port(PORT, 'UDP') },
      { fromEndpoints: [{}], ...port(PORT + 1, 'UDP') },
      { fromEndpoints: [{}], ...port(0, 'TCP') },
    ],
  },
];

async function cast(host: LabHost): Promise<{ hostile: Place; friend: Place; victim: Place }> {
  await remove(host);
  await setPolicy(host, FRIENDS_ONLY);
  await startReceiver(host, 'victim', { network: NETWORK, labels: ['role=target'], port: PORT });
  await start(host, 'friend', { network: NETWORK, labels: ['role=friend'] });
  await start(host, 'hostile', { network: NETWORK, labels: ['role=hostile'] });
  const [hostile, friend, victim] = await Promise.all([
    placeOf(host, 'hostile'),
    placeOf(host, 'friend'),
    placeOf(host, 'victim'),
  ]);
  return { hostile, friend, victim };
}

type Attempt = [what: string, reason: number, frames: Packet[]];

/** Sends them one attempt after the other; each must be counted under its reason. */
async function dropsEach(host: LabHost, attempts: Attempt[]): Promise<void> {
  for (const [what, reason, packets] of attempts) {
    const before = await drops(host);
    await sendRaw(
      host,
      'hostile',
      packets.map((packet) => packet.bytes()),
    );
    const dropped = ((await drops(host)).get(reason) ?? 0) - (before.get(reason) ?? 0);
    assert.ok(dropped >= 1, `${what}: reason ${reason} counted ${dropped}`);
  }
}

security.test('raw frames: whatever the container writes, it speaks for itself alone', async (host) => {
  const { hostile, friend, victim } = await cast(host);
  const own = (tag: string): Packet => datagram(hostile, victim, tag);
  const long = own('j').payload(Buffer.alloc(64, 'j'));
  const frames: Attempt[] = [
    ['the address of a friend', 132, [own('a').ip({ source: friend.ip })]],
    ['the MAC of a friend', 130, [own('b').ethernet({ source: friend.mac })]],
    ['both', 130, [own('c').ip({ source: friend.ip }).ethernet({ source: friend.mac })]],
    ['past the gateway', 131, [own('d').ethernet({ destination: victim.mac })]],
    ['to everybody', 131, [own('e').ethernet({ destination: BROADCAST })]],
    ['a source route', 213, [own('f').ip({ options: SOURCE_ROUTE })]],
    ['another protocol', 139, [own('g').ethernet({ type: 0x88cc })]],
    [
      'an offer of DHCP',
      150,
      [own('h').ip({ destination: '255.255.255.255' }).udp({ sourcePort: 67, destinationPort: 68 })],
    ],
    ['in its own name', 133, [own('i')]],
    [
      'a fragment over one that was let through',
      133,
      [long.udp({ destinationPort: PORT + 1 }).fragment(0, 40), long.fragment(0, 40), long.fragment(40, 32)],
    ],
    [
      'ARP in the name of a friend',
      132,
      [
        new Packet()
          .ethernet({ source: hostile.mac, destination: BROADCAST })
          .arp({ operation: 2, senderMac: hostile.mac, senderIp: friend.ip, targetIp: friend.ip }),
      ],
    ],
  ];
  await dropsEach(host, frames);
  await sendRaw(host, 'friend', [datagram(friend, victim, 'z').bytes()]);
  assert.doesNotMatch(await host.run(['ip', 'neigh']), new RegExp(`${friend.ip} .*${hostile.mac}`));
  const tallies = await finish<Record<string, Tally>>(host, 'victim');
  assert.deepEqual(Object.keys(tallies), ['z'], 'only the friend was heard, raw as its frame was');
});

/** A message to all of the link that says something of an address (RFC 4861). */
function said(type: number, from: Place, about: string): Packet {
  const option = Buffer.concat([Buffer.from([2, 1]), macBytes(from.mac)]);
  return new Packet()
    .ethernet({ source: from.mac, destination: '33:33:00:00:00:01' })
    .ip({ source: from.ip6, destination: 'ff02::1', ttl: 255 })
    .icmp({ type, code: 0, id: 0x2000, sequence: 0 })
    .payload(Buffer.concat([ipBytes(about), option]));
}

security.test('raw frames of IPv6: nobody’s neighbour, no router, no detours', async (host) => {
  const { hostile, friend, victim } = await cast(host);
  const own = new Packet()
    .ethernet({ source: hostile.mac, destination: hostile.gatewayMac })
    .ip({ source: hostile.ip6, destination: victim.ip6 })
    .udp({ sourcePort: 40_000, destinationPort: PORT });
  const routing = Buffer.from([17, 0, 0, 0, 0, 0, 0, 0]);
  await dropsEach(host, [
    ['the address of a friend', 132, [own.ip({ source: friend.ip6 })]],
    ['in its own name', 133, [own]],
    ['a routing header', 156, [own.ip({ options: routing, extension: 43 })]],
    ['the place of a friend', 132, [said(136, hostile, friend.ip6)]],
    ['the place of the gateway', 132, [said(136, hostile, 'fe80::1')]],
    ['being a router', 176, [said(134, hostile, 'fe80::1')]],
  ]);
  const neighbours = await host.docker('exec', 'friend', 'ip', '-6', 'neigh');
  assert.doesNotMatch(neighbours, new RegExp(hostile.mac));
  assert.doesNotMatch(await host.run(['ip', '-6', 'neigh']), new RegExp(`${friend.ip6} .*${hostile.mac}`));
});

security.test('a flood of MAC addresses fills no table and holds nobody up', async (host) => {
  const { hostile, friend, victim } = await cast(host);
  const before = await drops(host);
  await sendRaw(host, 'hostile', [datagram(hostile, victim, 'm').bytes()], { copies: 20_001, vary: 8 });
  assert.equal((await drops(host)).get(130)! - (before.get(130) ?? 0), 20_000);
  await sendRaw(host, 'friend', [datagram(friend, victim, 'z').bytes()]);
  const tallies = await finish<Record<string, Tally>>(host, 'victim');
  assert.deepEqual(Object.keys(tallies), ['z']);
});

security.test(
  'a flood of connections: those of others in use lose nothing, an idle one is taken up again',
  async (host) => {
    const { hostile, victim } = await cast(host);
    await host.docker('exec', '-d', 'victim', 'sh', '-c', 'tail -f /dev/null | nc -l -p 80 >/tmp/heard');
    const talk =
      'mkfifo /tmp/words; nc victim 80 </tmp/words & exec 3>/tmp/words; echo first >&3; tail -f /dev/null';
    await host.docker('exec', '-d', 'friend', 'sh', '-c', talk);
    const heard = (): Promise<string> => host.docker('exec', 'victim', 'cat', '/tmp/heard');
    await until('the idle connection is open', async () => (await heard()) === 'first');
    const stream = { tag: 's', to: victim.ip, port: PORT, count: 0, intervalUs: 1000 };
    await start(host, 'steady', { network: NETWORK, labels: ['role=friend'], command: sendCommand(stream) });
    const syn = new Packet()
      .ethernet({ source: hostile.mac, destination: hostile.gatewayMac })
      .ip({ source: hostile.ip, destination: victim.ip })
      .tcp({ sourcePort: 1, destinationPort: 80, flags: 'S' });
    // the source port alone counts up; twice as many connections as there is room for, each spoken on twice
    const frames = [80, 81, 82].map((destinationPort) => syn.tcp({ destinationPort }).bytes());
    for (let round = 0; round < 2; round++)
      await sendRaw(host, 'hostile', frames, { copies: 60_000, vary: 32 });
    await host.docker('exec', 'friend', 'sh', '-c', 'echo second >/tmp/words');
    await until('the idle connection goes on', async () => (await heard()) === 'first\nsecond');
    const { sent } = await finish<{ sent: number }>(host, 'steady');
    const { s } = await finish<Record<string, Tally>>(host, 'victim');
    assert.deepEqual(s, { received: sent, last: sent - 1 });
  },
);

security.test(
  'the sockets of the agent are root’s, none listens where a container could reach it',
  async (host) => {
    for (const socket of ['/run/weir/weir.sock', await host.pluginSocket()])
      assert.equal(await host.run(['stat', '-c', '%a %U', socket]), '600 root', socket);
    const listening = await host.run(['ss', '-Hlntup']);
    assert.doesNotMatch(listening, /"node"|weir/);
  },
);

security.test(
  'the metadata service is out of reach by the example policy, and everything else in reach',
  async (host) => {
    await host.run(['ip', 'route', 'replace', METADATA, 'dev', 'eth0']);
    await remove(host);
    await setPolicy(host, []);
    await start(host, 'app', { network: NETWORK });
    const fetch = async (address: string): Promise<string> =>
      (await host.attemptDocker('exec', 'app', 'curl', '-s', '-m', '2', `http://${address}`)).stdout.trim();
    assert.equal(await fetch(METADATA), 'secret', 'without the policy it answers');
    const file = join(CHECKOUT, 'examples/policies/block-metadata.yaml');
    const text = readFileSync(file, 'utf8');
    await ask(host, '/v1/policy', { files: [{ name: file, text }] }, 'PUT');
    assert.deepEqual([await fetch(METADATA), await fetch(CLOUD)], ['', 'secret']);
  },
);

/** An image that says of itself what policy asks for. */
async function lyingImage(host: LabHost): Promise<void> {
  await host.docker('create', '--name', 'mould', IMAGE, 'true');
  await host.docker('commit', '--change', 'LABEL role=friend', 'mould', 'lying');
  await host.docker('rm', 'mould');
}

security.test(
  'labels of an image count unless the container has others, and not at all where the agent is told so',
  async (host) => {
    await remove(host);
    await setPolicy(host, [{ endpointSelector: target, ingress: [from('friend')] }]);
    await lyingImage(host);
    const run = async (name: string, image: string, ...flags: string[]): Promise<void> => {
      await host.docker(
        'run',
        '-d',
        '--stop-timeout',
        '1',
        '--name',
        name,
        '--network',
        NETWORK,
        ...flags,
        image,
        'sleep',
        '600',
      );
      await identified(host);
    };
    await start(host, 'db', { network: NETWORK, labels: ['role=target'] });
    await run('believed', 'lying');
    await run('overruled', 'lying', '--label', 'role=stranger');
    const db = await addressOf(host, 'db', NETWORK);
    assert.deepEqual(
      [await reaches(host, 'believed', db), await reaches(host, 'overruled', db)],
      [true, false],
    );
    await host.killAgent();
    await host.agent(['--image-labels', 'ignore']);
    await run('disbelieved', 'lying');
    await run('chosen', IMAGE, '--label', 'role=friend');
    assert.deepEqual(
      [await reaches(host, 'disbelieved', db), await reaches(host, 'chosen', db)],
      [false, true],
    );
  },
);
