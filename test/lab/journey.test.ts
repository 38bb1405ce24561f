/** The first thing a user does, word for word: two containers talk, a policy is imported, the third is turned away. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { api } from '../../base/index.ts';
import { IMAGE, importLabImage } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { CHECKOUT, LabHost, WEIR } from './host.ts';
import { lab } from './lab-test.ts';
import { until } from './run.ts';
import type { Result } from './run.ts';

const POLICY = join(CHECKOUT, 'examples/l3_l4_policy.json');

const journey = lab(
  () => LabHost.start({ name: 'journey' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
  },
);

function client(host: LabHost, label: string): Promise<Result> {
  const curl = ['curl', '-s', '-m', '3', 'http://app1']; // Debian's static busybox crashes on wget -T
  return host.attemptDocker('run', '--rm', '--network', 'app-net', '-l', label, IMAGE, ...curl);
}

journey.test('a network, a server and a client: the client is answered by name', async (host) => {
  await host.docker('network', 'create', ...DRIVERS, 'app-net');
  const serve = 'echo hello from app1 >/www/index.html; exec httpd -f -p 80 -h /www';
  await host.docker(
    'run',
    '-d',
    '--name',
    'app1',
    '--network',
    'app-net',
    '-l',
    'id=app1',
    IMAGE,
    'sh',
    '-c',
    serve,
  );
  for (const label of ['id=app2', 'id=app3']) {
    assert.equal((await client(host, label)).stdout, 'hello from app1\n', label);
  }
});

journey.test('endpoint list names the container, its address and its labels', async (host) => {
  const [endpoint, ...more] = await host.weirJson<api.Endpoint[]>('endpoint', 'list');
  assert.deepEqual(more, []);
  assert.equal(endpoint?.containerName, 'app1');
  assert.equal(endpoint.state, 'ready');
  assert.deepEqual(endpoint.identity.labels, ['container:id=app1', 'weir:network=app-net']);
  assert.ok(endpoint.identity.id >= 256);
  assert.match(endpoint.ipv4, /^10\.210\./);
});

journey.test(
  'after the import app2 is served, app3 times out and monitor says who, whom, port and why',
  async (host) => {
    assert.match(await host.weir('policy', 'import', POLICY), /Revision: \d+/);
    const drops: api.Flow[] = [];
    const monitor = host.machine.background([WEIR, 'monitor', '--type', 'drop', '-o', 'json']);
    let rest = '';
    monitor.stdout?.on('data', (chunk: Buffer) => {
      const lines = `${rest}${chunk.toString()}`.split('\n');
      rest = lines.pop() ?? '';
      drops.push(...lines.map((line) => JSON.parse(line) as api.Flow));
    });
    const drop = await until('monitor shows the drop', async () => {
      const denied = await client(host, 'id=app3');
      assert.notEqual(denied.code, 0);
      assert.equal(denied.stdout, '');
      return drops.find((flow) => flow.source.labels.includes('container:id=app3'));
    });
    monitor.kill('SIGTERM');
    assert.equal(drop.reason, 'Policy denied');
    assert.equal(drop.reasonCode, 133);
    assert.equal(drop.direction, 'ingress');
    assert.equal(drop.protocol, 'TCP');
    assert.equal(drop.destination.port, 80);
    assert.equal(drop.destination.containerName, 'app1');
    assert.equal((await client(host, 'id=app2')).stdout, 'hello from app1\n');
  },
);

journey.test('trace gives the verdicts that were seen', async (host) => {
  for (const [label, verdict] of [
    ['id=app2', 'allowed'],
    ['id=app3', 'denied'],
  ]) {
    const flags = ['-s', label ?? '', '-d', 'id=app1', '--dport', '80/tcp'];
    const trace = await host.weirJson<api.TraceResult>('policy', 'trace', ...flags);
    assert.equal(trace.verdict, verdict, label);
  }
});

journey.test('a bad file changes nothing and says file, place and reason', async (host) => {
  const before = await host.weir('policy', 'get');
  const file = join(host.machine.folder, 'bad.json');
  writeFileSync(file, '[{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"80x"}]}]}]}]');
  const refused = await host.attemptWeir('policy', 'import', file);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /bad\.json.*\$\[0\]\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.port/);
  assert.equal(await host.weir('policy', 'get'), before);
});

journey.test(
  'a deleted policy no longer stands in the way, and status warns of nothing but the missing uplink',
  async (host) => {
    await host.weir('policy', 'delete', '--all');
    assert.equal((await client(host, 'id=app3')).stdout, 'hello from app1\n');
    const { components } = await host.weirJson<api.Status>('status');
    const troubled = Object.entries(components).filter(([, component]) => component.state !== 'ok');
    assert.deepEqual(
      troubled.map(([name]) => name),
      ['uplink'],
    );
  },
);
