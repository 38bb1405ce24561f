/** What a user may ask of networks and addresses, on a real dockerd. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { IMAGE, addressOf, reaches, remove, start } from './cast.ts';
import type { LabHost } from './host.ts';
import { create, DRIVER, stage } from './scene.ts';

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

scene('a restarted container is reached again, at its new address and by name', ['plain'], async (host) => {
  await create(host, 'plain');
  await start(host, 'server', { network: 'plain' });
  await start(host, 'client', { network: 'plain' });
  await host.docker('restart', '-t', '1', 'server');
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
  const patient = ['-m', '5', '--retry', '3', '--retry-connrefused'];
  assert.equal(await host.run(['curl', '-s', ...patient, `http://${address}`]), 'server');
  await host.run(['ip', 'addr', 'add', '192.0.2.10/32', 'dev', 'lo']);
  const listener = host.machine.background(['busybox', 'nc', '-ll', '-p', '7000', '-e', 'echo', 'host']);
  const answer = await host.docker('exec', 'server', 'sh', '-c', 'nc -w 3 192.0.2.10 7000 </dev/null');
  assert.equal(answer, 'host');
  listener.kill('SIGKILL');
});

/** Asks dockerd itself: newer clients refuse to pass a container's MAC address to an older dockerd. */
async function startWithMac(host: LabHost, name: string, network: string, mac: string): Promise<void> {
  const body = { Image: IMAGE, Cmd: ['sleep', '60'], MacAddress: mac, HostConfig: { NetworkMode: network } };
  const url = `http://docker/v1.41/containers/create?name=${name}`;
  const flags = ['-sf', '--unix-socket', '/run/docker.sock', '-H', 'Content-Type: application/json'];
  await host.run(['curl', ...flags, '-d', JSON.stringify(body), url]);
  await host.docker('start', name);
}

scene('-o weir.mtu and --mac-address reach the container', ['small'], async (host) => {
  await create(host, 'small', '-o', 'weir.mtu=1300');
  await startWithMac(host, 'server', 'small', '02:00:00:00:be:ef');
  assert.match(
    await host.docker('exec', 'server', 'ip', 'link', 'show', 'eth0'),
    /mtu 1300[^]*02:00:00:00:be:ef/,
  );
});

scene(
  'an unknown option is refused by name, and where ports are ignored a container starts without',
  ['lenient'],
  async (host) => {
    const command = ['network', 'create', ...DRIVER];
    const unknown = await host.attemptDocker(...command, '-o', 'weir.colour=red', 'odd');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /weir\.colour/);
    await create(host, 'lenient', '-o', 'weir.ports=ignore');
    await host.docker('run', '-d', '--name', 'quiet', '--network', 'lenient', '-p', '8080:80', IMAGE, 'cat');
    assert.deepEqual(await host.weirJson('service', 'list'), []);
  },
);
