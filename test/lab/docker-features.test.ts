/** What Docker can ask of a network beside the plain case; docs/docker.md has the whole table. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { addressOf, IMAGE, PATIENT, reaches, remove, start } from './cast.ts';
import { DRIVER, DRIVERS } from './driver.ts';
import { WEIR } from './host.ts';
import type { LabHost } from './host.ts';
import { until } from './run.ts';
import { create, refused, stage } from './scene.ts';

const scene = stage('features');

function exec(host: LabHost, name: string, ...command: string[]): Promise<string> {
  return host.docker('exec', name, ...command);
}

async function fetches(host: LabHost, from: string, url: string): Promise<string> {
  return (await host.attemptDocker('exec', from, 'curl', '-s', ...PATIENT, url)).stdout.trim();
}

async function networkNames(host: LabHost): Promise<string[]> {
  return (await ask<api.Network[]>(host, '/v1/networks')).map(({ name }) => name).sort();
}

scene('a container of a bridge network does not come in as the host', ['plain', 'foreign'], async (host) => {
  await create(host, 'plain');
  await host.docker('network', 'create', '--driver', 'bridge', 'foreign');
  const address = await start(host, 'server', { network: 'plain' });
  await start(host, 'outsider', { network: 'foreign' });
  assert.equal(await reaches(host, 'outsider', address), false);
  assert.equal(await host.run(['curl', '-s', '-m', '3', `http://${address}`]), 'server');
  const metrics = await ask<api.BpfMetric[]>(host, '/v1/bpf/metrics');
  assert.ok(metrics.some(({ reason }) => reason === 'Masqueraded as the host'));
});

scene('names are answered on their own network and nowhere else', ['near', 'far'], async (host) => {
  await create(host, 'near');
  await create(host, 'far');
  const flags = ['--network-alias', 'www', '--network-alias', 'shop', '--hostname', 'counter'];
  const server = await start(host, 'server', { network: 'near', flags });
  await start(host, 'stranger', { network: 'far' });
  const dns = ['--dns', server, '--dns-search', 'example.org'];
  const client = ['--link', 'server:linked', '--add-host', 'extra:192.0.2.7', ...dns];
  await start(host, 'client', { network: 'near', flags: client });
  for (const name of ['server', 'www', 'shop', 'linked']) {
    assert.equal(await fetches(host, 'client', `http://${name}`), 'server', name);
  }
  assert.equal(await fetches(host, 'server', 'http://counter'), 'server', 'its own hostname');
  assert.equal(await reaches(host, 'stranger', 'www'), false);
  assert.match(await exec(host, 'client', 'cat', '/etc/hosts'), /^192\.0\.2\.7\s+extra$/m);
  assert.match(await exec(host, 'client', 'cat', '/etc/resolv.conf'), /^search example\.org$/m);
  await host.attemptDocker('exec', 'client', 'curl', '-s', '-m', '1', 'http://elsewhere');
  const asked = (await ask<api.BpfConnection[]>(host, '/v1/bpf/ct')).filter(
    ({ destination, destinationPort }) => destination === server && destinationPort === 53,
  );
  assert.ok(asked.length > 0, 'who is asked for other names');
  await host.docker('network', 'connect', '--alias', 'late', 'far', 'server');
  assert.equal(await fetches(host, 'stranger', 'http://late'), 'server');
  await host.docker('network', 'disconnect', 'far', 'server');
  assert.equal(await reaches(host, 'stranger', await addressOf(host, 'server', 'near')), false);
});

scene('--network container:x is x: its endpoint, its labels, its policy', ['plain'], async (host) => {
  await create(host, 'plain');
  const db = await start(host, 'db', { network: 'plain' });
  await start(host, 'guarded', { network: 'plain', labels: ['role=guarded'] });
  await start(host, 'free', { network: 'plain', labels: ['role=free'] });
  const endpoints = await ask<api.Endpoint[]>(host, '/v1/endpoints');
  for (const of of ['guarded', 'free']) {
    const command = ['--name', `with-${of}`, '--network', `container:${of}`, '--label', 'role=free', IMAGE];
    await host.docker('run', '-d', ...command, 'sleep', '60');
  }
  assert.deepEqual(await ask<api.Endpoint[]>(host, '/v1/endpoints'), endpoints);
  const rules = [{ endpointSelector: { matchLabels: { role: 'guarded' } }, egress: [{}] }];
  const files = [{ name: 'test.json', text: JSON.stringify(rules) }];
  const { revision } = await ask<{ revision: number }>(
    host,
    '/v1/policy',
    { files, replaceAll: true },
    'PUT',
  );
  await ask(host, `/v1/policy/wait?revision=${revision}&timeoutMs=10000`);
  assert.deepEqual(
    [await reaches(host, 'with-guarded', db), await reaches(host, 'with-free', db)],
    [false, true],
  );
  await host.weir('policy', 'delete', '--all');
  assert.equal(await fetches(host, 'with-guarded', 'http://db'), 'db', 'names too');
});

scene('--link-local-ip is the container’s own; nobody else sees it', ['plain'], async (host) => {
  await create(host, 'plain');
  const flags = ['--link-local-ip', '169.254.33.44'];
  const server = await start(host, 'server', { network: 'plain', flags });
  await start(host, 'client', { network: 'plain' });
  assert.match(await exec(host, 'server', 'ip', '-4', 'addr'), /inet 169\.254\.33\.44\/16/);
  assert.equal(await fetches(host, 'server', 'http://169.254.33.44'), 'server');
  assert.ok(await reaches(host, 'client', server));
  assert.equal(await reaches(host, 'client', '169.254.33.44'), false);
});

scene('a renamed container is shown and traced under its new name at once', ['plain'], async (host) => {
  await create(host, 'plain');
  await start(host, 'before', { network: 'plain' });
  await start(host, 'client', { network: 'plain' });
  const flows: api.Flow[] = [];
  const monitor = host.machine.background([WEIR, 'monitor', '--type', 'trace', '-o', 'json']);
  monitor.stdout?.on('data', (chunk: Buffer) => {
    const lines = chunk.toString().split('\n').filter(Boolean);
    flows.push(...lines.map((line) => JSON.parse(line) as api.Flow));
  });
  await host.docker('rename', 'before', 'after');
  await until('the monitor has the new name', async () => {
    assert.equal(await fetches(host, 'client', 'http://after'), 'before', 'its page, which has not changed');
    return flows.some(({ destination }) => destination.containerName === 'after');
  });
  monitor.kill('SIGTERM');
  assert.ok(flows.every(({ destination }) => destination.containerName !== 'before'));
  const list = await ask<api.Endpoint[]>(host, '/v1/endpoints');
  assert.deepEqual(list.map(({ containerName }) => containerName).sort(), ['after', 'client']);
});

scene('restart policies: each start is an endpoint of its own, and none is left', ['plain'], async (host) => {
  await create(host, 'plain');
  const failing = ['sh', '-c', 'exit 3'];
  await start(host, 'failing', { network: 'plain', flags: ['--restart', 'on-failure:2'], command: failing });
  const once = '[ -e /www/index.html ] || { echo up >/www/index.html; exit 1; }';
  const dying = ['sh', '-c', `${once}; exec httpd -f -h /www`];
  await start(host, 'dying', { network: 'plain', flags: ['--restart', 'always'], command: dying });
  await start(host, 'client', { network: 'plain' });
  const count = (name: string): Promise<string> => host.docker('inspect', '-f', '{{.RestartCount}}', name);
  await until('the one that died has come back', async () => Number(await count('dying')) >= 1);
  await until('and serves again', async () => (await fetches(host, 'client', 'http://dying')) === 'up');
  await until('the one that fails is given up', async () => (await count('failing')) === '2');
  await until('two endpoints are there at most', async () => {
    const names = (await ask<api.Endpoint[]>(host, '/v1/endpoints')).map(
      ({ containerName }) => containerName,
    );
    return !names.includes('failing') && names.length <= 2 && names.includes('client');
  });
});

scene('network prune takes what is unused, and its addresses', ['used'], async (host) => {
  await create(host, 'used');
  await create(host, 'unused', '--subnet', '10.90.0.0/24');
  await start(host, 'server', { network: 'used' });
  await host.docker('network', 'prune', '-f');
  assert.deepEqual(await networkNames(host), ['used']);
  await create(host, 'unused', '--subnet', '10.90.0.0/24');
  refused(await host.attemptDocker('network', 'rm', 'used'), /active endpoints/);
  await host.docker('network', 'rm', 'unused');
});

scene('config-only networks lend their subnet and options', ['made', 'plan'], async (host) => {
  const plan = ['--config-only', '--ipam-driver', DRIVER, '--subnet', '10.91.0.0/24', '-o', 'weir.mtu=1300'];
  await host.docker('network', 'create', ...plan, 'plan');
  await host.docker('network', 'create', '--driver', DRIVER, '--config-from', 'plan', 'made');
  const address = await start(host, 'server', { network: 'made', flags: ['--ip', '10.91.0.77'] });
  assert.equal(address, '10.91.0.77');
  assert.match(await exec(host, 'server', 'ip', 'link', 'show', 'eth0'), /mtu 1300/);
  await start(host, 'client', { network: 'made' });
  assert.ok(await reaches(host, 'client', 'server'));
});

scene('Docker’s own IPAM serves weir networks; the null one is refused', ['own', 'other'], async (host) => {
  await host.docker('network', 'create', '--driver', DRIVER, 'own');
  await host.docker('network', 'create', '--driver', DRIVER, '--subnet', '10.92.0.0/24', 'other');
  const server = await start(host, 'server', { network: 'own' });
  await start(host, 'client', { network: 'own' });
  const far = await start(host, 'far', { network: 'other', flags: ['--ip', '10.92.0.9'] });
  assert.ok(await reaches(host, 'client', server));
  assert.equal(await host.run(['curl', '-s', '-m', '3', `http://${server}`]), 'server');
  assert.equal(await reaches(host, 'client', far), false);
  await host.docker('network', 'connect', 'other', 'client');
  assert.ok(await reaches(host, 'client', far));
  const none = ['network', 'create', '--driver', DRIVER, '--ipam-driver', 'null', 'none-at-all'];
  refused(await host.attemptDocker(...none), /--ipam-driver weir/);
});

scene(
  'weir’s IPAM serves a bridge that has a --subnet, and refuses one that has not',
  ['bridged', 'bare', 'plain'],
  async (host) => {
    const bridge = ['network', 'create', '--driver', 'bridge', '--ipam-driver', DRIVER];
    await host.docker(...bridge, '--subnet', '10.95.0.0/24', 'bridged');
    const server = await start(host, 'server', { network: 'bridged' });
    assert.match(server, /^10\.95\.0\./);
    await start(host, 'client', { network: 'bridged' });
    assert.ok(await reaches(host, 'client', server));
    await host.docker(...bridge, 'bare');
    const run = ['run', '--rm', '--network', 'bare', IMAGE, 'true'];
    refused(await host.attemptDocker(...run), /has another driver \(create it with --driver weir/);
    await create(host, 'plain');
    assert.match(await start(host, 'neighbour', { network: 'plain' }), /^10\.210\.0\./);
  },
);

scene('what cannot be is refused in one line', ['plain'], async (host) => {
  await create(host, 'plain');
  const lines: [string[], RegExp][] = [
    [['--ingress', 'odd'], /[Ii]ngress/],
    [['--scope', 'swarm', 'odd'], /swarm is not active/],
    [['-o', 'parent=eth0', 'odd'], /unknown network option "parent" \(weir knows .*weir\.mtu/],
    [['-o', 'weir.mtu=big', 'odd'], /weir\.mtu: "big" is not possible/],
    [['--ipam-opt', 'colour=red', 'odd'], /IPAM option "colour" is not known/],
    [['plain'], /already exists/],
  ];
  for (const [flags, right] of lines) {
    refused(await host.attemptDocker('network', 'create', ...DRIVERS, ...flags), right);
  }
  const run = ['run', '--rm', '--network', 'plain'];
  refused(await host.attemptDocker(...run, '--ip', '10.210.0.77', IMAGE, 'true'), /user configured subnets/);
  refused(await host.attemptDocker('network', 'connect', 'host', 'nobody'), /nobody|host network/);
  assert.deepEqual(await networkNames(host), ['plain']);
});

scene(
  '--attachable, --sysctl, --init, health checks and pause are as on any network',
  ['plain'],
  async (host) => {
    await create(host, 'plain', '--attachable', '--label', 'team=web');
    await start(host, 'server', { network: 'plain' });
    const health = ['--health-cmd', 'curl -sf http://server', '--health-interval', '0.2s'];
    const flags = ['--sysctl', 'net.ipv4.ip_local_port_range=20000 30000', '--init', ...health];
    await start(host, 'client', { network: 'plain', flags });
    assert.match(await exec(host, 'client', 'sysctl', 'net.ipv4.ip_local_port_range'), /20000\s30000/);
    const status = ['inspect', '-f', '{{.State.Health.Status}}', 'client'];
    await until('the client is healthy', async () => (await host.docker(...status)) === 'healthy');
    await host.docker('pause', 'server');
    const paused = ['curl', '-s', '-m', '1', 'http://server'];
    assert.equal((await host.attemptDocker('exec', 'client', ...paused)).code, 28, 'no answer');
    await host.docker('unpause', 'server');
    assert.equal(await fetches(host, 'client', 'http://server'), 'server');
  },
);

scene('an address of one’s own stays over stop and start, and is refused to two', ['fixed'], async (host) => {
  await create(host, 'fixed', '--subnet', '10.93.0.0/24');
  const own = { network: 'fixed', flags: ['--ip', '10.93.0.7'] };
  await start(host, 'first', own);
  await host.docker('stop', '-t', '1', 'first');
  await start(host, 'second', own);
  refused(await host.attemptDocker('start', 'first'), /10\.93\.0\.7 is in use/);
  await remove(host, 'second');
  await host.docker('start', 'first');
  await host.docker('restart', '-t', '1', 'first');
  assert.equal(await addressOf(host, 'first', 'fixed'), '10.93.0.7');
});

scene(
  'a container finds its host by host.docker.internal; its next hop is nobody',
  ['plain'],
  async (host) => {
    await create(host, 'plain');
    const flags = ['--add-host', 'host.docker.internal:host-gateway'];
    await start(host, 'client', { network: 'plain', flags });
    const listener = host.machine.background(['busybox', 'nc', '-ll', '-p', '7000', '-e', 'echo', 'host']);
    const ping = ['ping', '-c', '1', '-W', '1'];
    await exec(host, 'client', ...ping, '10.210.0.1');
    const hop = /default via (\S+)/.exec(await exec(host, 'client', 'ip', 'route'))?.[1] ?? '';
    assert.equal((await host.attemptDocker('exec', 'client', ...ping, hop)).code, 1);
    const command = 'nc -w 3 host.docker.internal 7000 </dev/null';
    assert.equal(await exec(host, 'client', 'sh', '-c', command), 'host');
    listener.kill('SIGKILL');
  },
);

scene(
  'weir stays in reach of a container whose default route a bridge has',
  ['a-bridge', 'met', 'net', 'third'],
  async (host) => {
    await host.docker('network', 'create', '--driver', 'bridge', 'a-bridge'); // first by name: it has the default route
    await create(host, 'met');
    await create(host, 'net', '--subnet', '10.94.0.0/24');
    await start(host, 'met-server', { network: 'met' });
    await start(host, 'net-server', { network: 'net' });
    const expectReach = async (name: string, ...servers: string[]): Promise<void> => {
      for (const server of servers) assert.equal(await fetches(host, name, `http://${server}`), server, name);
      assert.match(await exec(host, name, 'ip', 'route'), /default via 172\./);
    };
    await host.docker('create', '--name', 'from-start', '--network', 'a-bridge', IMAGE, 'sleep', '60');
    for (const network of ['met', 'net']) await host.docker('network', 'connect', network, 'from-start');
    await host.docker('start', 'from-start');
    await expectReach('from-start', 'met-server', 'net-server');
    await start(host, 'live', { network: 'a-bridge', command: ['sleep', '60'] });
    await host.docker('network', 'connect', 'met', 'live');
    await host.docker('network', 'connect', 'net', 'live');
    await expectReach('live', 'met-server', 'net-server');
    await create(host, 'third');
    await start(host, 'third-server', { network: 'third' });
    await host.docker('network', 'connect', 'third', 'live');
    await host.docker('network', 'disconnect', 'met', 'live');
    await expectReach('live', 'net-server', 'third-server');
    await start(host, 'late', { network: 'met', command: ['sleep', '60'] });
    await host.docker('network', 'connect', 'a-bridge', 'late');
    await until('the route is there', async () => (await fetches(host, 'late', 'http://met-server')) !== '');
    await expectReach('late', 'met-server');
  },
);

scene(
  'the network with the first name has the default route, or the one with the highest --gw-priority',
  ['away', 'home'],
  async (host) => {
    await create(host, 'away');
    await create(host, 'home');
    const hops = await Promise.all(
      ['away', 'home'].map((name) =>
        start(host, `on-${name}`, { network: name }).then(() => exec(host, `on-${name}`, 'ip', 'route')),
      ),
    );
    const hopOf = (routes: string): string | undefined => /default via (\S+)/.exec(routes)?.[1];
    const [away, home] = hops.map(hopOf);
    await host.docker('create', '--name', 'both', '--network', 'home', IMAGE, 'sleep', '60');
    await host.docker('network', 'connect', 'away', 'both');
    await host.docker('start', 'both');
    assert.equal(hopOf(await exec(host, 'both', 'ip', 'route')), away);
    assert.deepEqual(
      [await fetches(host, 'both', 'http://on-home'), await fetches(host, 'both', 'http://on-away')],
      ['on-home', 'on-away'],
    );
    if ((await host.dockerdMajor()) < 28) return; // it came with 28
    const networks = ['--network', 'name=away,gw-priority=1', '--network', 'name=home,gw-priority=2'];
    const routes = await host.docker('run', '--rm', ...networks, IMAGE, 'ip', 'route');
    assert.equal(hopOf(routes), home);
  },
);

scene('a network of IPv6 alone, where Docker can make one', ['only6'], async (host) => {
  if ((await host.dockerdMajor()) < 28) return; // older ones ignore --ipv4=false
  await create(host, 'only6', '--ipv6', '--ipv4=false');
  await start(host, 'server', { network: 'only6' });
  await start(host, 'client', { network: 'only6' });
  assert.equal(await fetches(host, 'client', 'http://server'), 'server');
  assert.doesNotMatch(await exec(host, 'client', 'ip', '-4', 'addr', 'show', 'dev', 'eth0'), /inet /);
});
