/** scripts/quickstart on a host where dockerd runs and on one where it does not; and that --down leaves nothing. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DRIVERS } from './driver.ts';
import { CHECKOUT, LabHost } from './host.ts';
import { lab } from './lab-test.ts';

const QUICKSTART = join(CHECKOUT, 'scripts/quickstart');
const TIMEOUT = { timeoutMs: 120_000 };
const MATRIX =
  /app2 -> app1:80\s+allowed\s+allowed\s+allowed\napp3 -> app1:80\s+allowed\s+denied\s+allowed\n/;

const quickstart = lab(
  () => LabHost.start({ name: 'quickstart' }),
  async () => undefined,
);

async function expectNothingLeft(host: LabHost): Promise<void> {
  assert.doesNotMatch(await host.run(['ip', '-o', 'link']), /weir/);
  for (const family of ['-4', '-6'])
    assert.doesNotMatch(await host.run(['ip', family, 'rule']), /^(?!0:|32766:|32767:)/m);
  assert.equal(await host.run(['find', '/sys/fs/bpf', '-mindepth', '1', '-not', '-name', '*.debug']), '');
  const files = await host.run([
    'find',
    '/var/lib/weir',
    '/run',
    '-name',
    '*weir*',
    '-not',
    '-path',
    '/var/lib/weir',
  ]);
  assert.equal(files, '');
}

quickstart.test('shows the verdicts, and again when it is run again', async (host) => {
  assert.match(await host.run([QUICKSTART], TIMEOUT), MATRIX);
  const agent = await host.run(['cat', '/run/weir-quickstart/supervisor.pid']);
  assert.match(await host.run([QUICKSTART], TIMEOUT), MATRIX);
  assert.equal(await host.run(['cat', '/run/weir-quickstart/supervisor.pid']), agent);
  await host.weir('status');
});

quickstart.test('--down takes everything away, twice without harm', async (host) => {
  await host.docker('network', 'create', ...DRIVERS, 'own-net');
  await host.docker('run', '-d', '--name', 'own', '--network', 'own-net', 'weir-demo', 'sleep', '600');
  await host.run([QUICKSTART, '--down'], TIMEOUT);
  assert.equal(await host.docker('network', 'ls', '-q', '--filter', 'driver=weir'), '');
  assert.equal(await host.docker('inspect', '-f', '{{.State.Running}}', 'own'), 'true');
  await expectNothingLeft(host);
  await host.run([QUICKSTART, '--down'], TIMEOUT);
});

quickstart.test('starts dockerd where none runs, and ends it with --down', async (host) => {
  await host.docker('rm', '-f', 'own');
  await host.stopDockerd();
  assert.match(await host.run([QUICKSTART], TIMEOUT), MATRIX);
  await host.run([QUICKSTART, '--down'], TIMEOUT);
  assert.notEqual((await host.attempt(['docker', 'version'])).code, 0);
  await expectNothingLeft(host);
});
