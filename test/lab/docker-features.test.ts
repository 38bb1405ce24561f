/** What Docker can ask of a network beside the plain case; docs/docker.md has the whole table. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { importLabImage, reaches, remove, start } from './cast.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';

const features = lab(
  () => LabHost.start({ name: 'features' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
  },
);

async function create(host: LabHost, name: string, ...flags: string[]): Promise<void> {
  await host.docker('network', 'create', '--driver', 'weir', '--ipam-driver', 'weir', ...flags, name);
}

/** One test: its containers and networks go at its end, also of a failed one, and nothing may be left of them. */
function scene(title: string, names: string[], body: (host: LabHost) => Promise<void>): void {
  features.test(title, async (host) => {
    try {
      await body(host);
    } finally {
      await remove(host);
      await host.attemptDocker('network', 'rm', ...names);
    }
    assert.deepEqual(await ask<api.Endpoint[]>(host, '/v1/endpoints'), []);
    assert.deepEqual(await ask<api.Network[]>(host, '/v1/networks'), []);
  });
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
