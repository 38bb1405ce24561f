/** What a user may ask of networks and addresses, on a real dockerd. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask, identified, setPolicy } from './api.ts';
import { IMAGE, PATIENT, addressOf, reaches, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import type { LabHost } from './host.ts';
import { create, refused, stage } from './scene.ts';

const scene = stage('networks');

scene('--ip is honoured, refused where it cannot be, and free again afterwards', ['fixed'], async (host) => {
  await create(
    host,
    'fixed',
    '--subnet',
    '10.77.0.0/24',
    '--gateway',
    '10.77.0.1',
    '--aux-address',
    'printer=10.77.0.9',
  );
  assert.equal(await start(host, 'chosen', { network: 'fixed', flags: ['--ip', '10.77.0.5'] }), '10.77.0.5');
  for (const taken of ['10.77.0.5', '10.77.0.9', '10.77.0.1', '10.78.0.1']) {
    const refused = await host.attemptDocker(
      'run',
      '--rm',
      '--network',
      'fixed',
      '--ip',
      taken,
      IMAGE,
      'true',
    );
    assert.notEqual(refused.code, 0, taken);
    assert.equal(
      refused.stderr
        .trim()
        .split('\n')
        .filter((line) => line.includes(taken)).length,
      1,
      refused.stderr,
    );
  }
  await remove(host, 'chosen');
  assert.equal(await start(host, 'again', { network: 'fixed', flags: ['--ip', '10.77.0.5'] }), '10.77.0.5');
});

scene('a subnet with a gateway, a range and an auxiliary address is honoured', ['shaped'], async (host) => {
  const range = ['--ip-range', '10.77.0.64/30', '--aux-address', 'printer=10.77.0.65'];
  await create(host, 'shaped', '--subnet', '10.77.0.0/24', '--gateway', '10.77.0.254', ...range);
  const addresses = [];
  for (const name of ['first', 'second', 'third']) {
    addresses.push(await start(host, name, { network: 'shaped', command: ['sleep', '60'] }));
  }
  assert.deepEqual(addresses, ['10.77.0.64', '10.77.0.66', '10.77.0.67']);
  refused(
    await host.attemptDocker('run', '--rm', '--network', 'shaped', IMAGE, 'true'),
    /IP range 10\.77\.0\.64\/30 .* is full/,
  );
  assert.match(await host.docker('exec', 'first', 'ip', 'route'), /^default via 10\.77\.0\.254 /);
});

scene('a restarted container is reached again, at its new address and by name', ['plain'], async (host) => {
  await create(host, 'plain');
  await start(host, 'server', { network: 'plain' });
  await start(host, 'client', { network: 'plain' });
  await host.docker('restart', '-t', '1', 'server');
  await identified(host);
  assert.ok(await reaches(host, 'client', await addressOf(host, 'server', 'plain')));
  assert.ok(await reaches(host, 'client', 'server'));
});

scene(
  'a container on two networks is reached from both and reaches into both; the networks stay apart',
  ['front', 'back'],
  async (host) => {
    await create(host, 'front');
    await create(host, 'back');
    const web = await start(host, 'web', { network: 'front' });
    const db = await start(host, 'db', { network: 'back' });
    await start(host, 'api', { network: 'front' });
    await host.docker('network', 'connect', 'back', 'api');
    const [front, back] = [await addressOf(host, 'api', 'front'), await addressOf(host, 'api', 'back')];
    assert.deepEqual([await reaches(host, 'api', web), await reaches(host, 'api', db)], [true, true]);
    assert.deepEqual([await reaches(host, 'web', front), await reaches(host, 'db', back)], [true, true]);
    assert.deepEqual([await reaches(host, 'web', db), await reaches(host, 'db', web)], [false, false]);
    const [joined] = (await ask<api.Endpoint[]>(host, '/v1/endpoints')).filter(
      (endpoint) => endpoint.containerName === 'api',
    );
    assert.deepEqual(joined?.identity.labels, ['weir:network=back', 'weir:network=front']);
    await host.docker('network', 'disconnect', 'back', 'api');
    assert.deepEqual([await reaches(host, 'api', web), await reaches(host, 'api', db)], [true, false]);
  },
);

scene(
  'networks without isolation are one space, and isolated ones stay apart from it',
  ['open1', 'open2', 'closed'],
  async (host) => {
    await create(host, 'open1', '-o', 'weir.isolation=none');
    await create(host, 'open2', '-o', 'weir.isolation=none');
    await create(host, 'closed');
    await start(host, 'one', { network: 'open1' });
    const two = await start(host, 'two', { network: 'open2' });
    const three = await start(host, 'three', { network: 'closed' });
    assert.deepEqual([await reaches(host, 'one', two), await reaches(host, 'one', three)], [true, false]);
    assert.equal(await reaches(host, 'three', two), false);
  },
);

scene('the host reaches its containers, and they reach it', ['plain'], async (host) => {
  await create(host, 'plain');
  const address = await start(host, 'server', { network: 'plain' });
  assert.equal(await host.run(['curl', '-s', ...PATIENT, `http://${address}`]), 'server');
  await host.run(['ip', 'addr', 'add', '192.0.2.10/32', 'dev', 'lo']);
  const listener = host.machine.background(['busybox', 'nc', '-ll', '-p', '7000', '-e', 'echo', 'host']);
  const answer = await host.docker('exec', 'server', 'sh', '-c', 'nc -w 3 192.0.2.10 7000 </dev/null');
  assert.equal(answer, 'host');
  listener.kill('SIGKILL');
});

scene(
  'a container of the host’s network is the host to every policy, one without network reaches nobody',
  ['plain'],
  async (host) => {
    await create(host, 'plain');
    const server = await start(host, 'server', { network: 'plain', labels: ['role=server'] });
    const subject = { endpointSelector: { matchLabels: { role: 'server' } } };
    await setPolicy(host, [{ ...subject, ingress: [{ fromEntities: ['host'] }] }]);
    const fetch = async (network: string, ...flags: string[]): Promise<number> => {
      const command = ['curl', '-s', '--connect-timeout', '1.5', ...flags, `http://${server}`];
      return (await host.attemptDocker('run', '--rm', '--network', network, IMAGE, ...command)).code;
    };
    assert.equal(await fetch('host', ...PATIENT), 0, 'answered');
    assert.equal(await fetch('plain'), 28, 'dropped');
    assert.equal(await fetch('none'), 7, 'no way there');
    await setPolicy(host, []);
  },
);

scene(
  '-P publishes what is exposed, on ports of the host’s choice; `docker port` does not know',
  ['plain'],
  async (host) => {
    await create(host, 'plain');
    await start(host, 'web', { network: 'plain', flags: ['-P', '--expose', '80', '--expose', '81'] });
    const services = await host.weirJson<api.Service[]>('service', 'list');
    assert.deepEqual(
      new Set(services.flatMap(({ backends }) => backends.map(({ port }) => port))),
      new Set([80, 81]),
    );
    for (const { frontend } of services) {
      assert.ok(frontend.port >= 32768);
      assert.equal(await host.run(['curl', '-s', ...PATIENT, `http://127.0.0.1:${frontend.port}`]), 'web');
    }
    assert.equal(await host.docker('port', 'web'), '');
  },
);

const NINE = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
scene('a container is on eight networks at most', NINE, async (host) => {
  for (const name of NINE) await create(host, name);
  await start(host, 'server', { network: 'one' });
  await start(host, 'client', { network: 'eight' });
  for (const name of NINE.slice(1, 8)) await host.docker('network', 'connect', name, 'server');
  refused(
    await host.attemptDocker('network', 'connect', 'nine', 'server'),
    /a container can be on 8 weir networks at most \(disconnect it from one first\)/,
  );
  assert.ok(await reaches(host, 'client', 'server'));
});

scene(
  'options of one endpoint: those of others pass, what weir does not know is refused by name',
  ['plain', 'second'],
  async (host) => {
    await create(host, 'plain');
    await create(host, 'second');
    await start(host, 'server', { network: 'plain' });
    const connect = (option: string): ReturnType<LabHost['attemptDocker']> =>
      host.attemptDocker('network', 'connect', '--driver-opt', option, 'second', 'server');
    refused(await connect('weir.colour=red'), /unknown endpoint option "weir\.colour" \(weir has no options/);
    refused(await connect('com.docker.network.endpoint.ifname=web0'), /ifname cannot be chosen/);
    assert.equal((await connect('org.example.colour=red')).code, 0);
    assert.match(await addressOf(host, 'server', 'second'), /^10\.210\./);
  },
);

/** Asks dockerd itself: newer clients refuse to pass a container's MAC address to an older dockerd. */
async function startWithMac(host: LabHost, name: string, network: string, mac: string): Promise<void> {
  const body = { Image: IMAGE, Cmd: ['sleep', '60'], MacAddress: mac, HostConfig: { NetworkMode: network } };
  const url = `http://docker/v1.41/containers/create?name=${name}`;
  const flags = ['-sf', '--unix-socket', '/run/docker.sock', '-H', 'Content-Type: application/json'];
  await host.run(['curl', ...flags, '-d', JSON.stringify(body), url]);
  await host.docker('start', name);
}

scene('-o weir.mtu and --mac-address reach the container', ['small', 'medium'], async (host) => {
  await create(host, 'small', '-o', 'weir.mtu=1300');
  await startWithMac(host, 'server', 'small', '02:00:00:00:be:ef');
  assert.match(
    await host.docker('exec', 'server', 'ip', 'link', 'show', 'eth0'),
    /mtu 1300[^]*02:00:00:00:be:ef/,
  );
  await create(host, 'medium', '-o', 'com.docker.network.driver.mtu=1400');
  const show = ['ip', 'link', 'show', 'eth0'];
  assert.match(await host.docker('run', '--rm', '--network', 'medium', IMAGE, ...show), /mtu 1400/);
  await assert.rejects(
    startWithMac(host, 'group', 'medium', '03:00:00:00:be:ef'),
    /03:00:00:00:be:ef cannot be/,
  );
});

scene(
  'what differs from a bridge: host prefixes, and names of one’s own in /etc/hosts',
  ['plain'],
  async (host) => {
    await create(host, 'plain');
    const address = await start(host, 'server', { network: 'plain', flags: ['--hostname', 'counter'] });
    assert.match(
      await host.docker('exec', 'server', 'ip', '-4', 'addr', 'show', 'eth0'),
      /inet 10\.210\.\d+\.\d+\/32 /,
    );
    const form = (await host.dockerdMajor()) >= 28 ? `::ffff:${address}` : address;
    assert.ok((await host.docker('exec', 'server', 'cat', '/etc/hosts')).includes(`\n${form}\tcounter`));
    assert.equal(await host.docker('exec', 'server', 'curl', '-s', ...PATIENT, 'http://counter'), 'server');
    const run = ['run', '--rm', '--network', 'plain', '--link-local-ip', '169.254.1.1', IMAGE, 'true'];
    refused(await host.attemptDocker(...run), /network is unreachable/);
  },
);

scene(
  'an unknown option is refused by name, and where ports are ignored a container starts without',
  ['lenient'],
  async (host) => {
    const command = ['network', 'create', ...DRIVERS];
    const unknown = await host.attemptDocker(...command, '-o', 'weir.colour=red', 'odd');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /weir\.colour/);
    await create(host, 'lenient', '-o', 'weir.ports=ignore');
    await host.docker('run', '-d', '--name', 'quiet', '--network', 'lenient', '-p', '8080:80', IMAGE, 'cat');
    assert.deepEqual(await host.weirJson('service', 'list'), []);
  },
);
