/** Compose stacks: the example with its policy, and one over two networks. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { api } from '../../base/index.ts';
import { ask, identified } from './api.ts';
import { importLabImage } from './cast.ts';
import { DRIVER } from './driver.ts';
import { CHECKOUT, LabHost } from './host.ts';
import { lab } from './lab-test.ts';

const SHOP = join(CHECKOUT, 'examples/compose/compose.yaml');
const TWO_NETWORKS = join(CHECKOUT, 'test/lab/frontend-backend.yaml');

const compose = lab(
  () => LabHost.start({ name: 'compose' }),
  async (host) => {
    await importLabImage(host);
    await host.run([join(CHECKOUT, 'scripts/demo-image')]);
    await host.agent();
  },
);

/** Of a file that names its networks' driver: here it is what Docker calls the one that runs. */
async function stack(host: LabHost, file: string, ...command: string[]): Promise<void> {
  const copy = join(host.machine.folder, 'compose.yaml');
  writeFileSync(copy, readFileSync(file, 'utf8').replaceAll(/driver: weir\b/g, `driver: ${DRIVER}`));
  await host.compose('-p', 'stack', '-f', copy, ...command);
  await identified(host);
}

/** Whether `command` in a service of the stack exits with 0, and what it says. */
async function inService(host: LabHost, service: string, ...command: string[]): Promise<string | undefined> {
  const result = await host.attemptDocker('exec', `stack_${service}_1`, ...command);
  return result.code === 0 ? result.stdout.trim() : undefined;
}

async function expectNothingLeft(host: LabHost): Promise<void> {
  assert.deepEqual(await ask<api.Endpoint[]>(host, '/v1/endpoints'), []);
  assert.deepEqual(await ask<api.Network[]>(host, '/v1/networks'), []);
}

compose.test(
  'the example stack serves, and its policy leaves open what it must and nothing else',
  async (host) => {
    await stack(host, SHOP, 'up', '-d');
    const stock = ['curl', '-s', '-m', '5', 'http://localhost/cgi-bin/stock'];
    const direct = ['nc', '-w', '2', 'db', '5432'];
    assert.equal(await inService(host, 'web', ...stock), '42 apples in stock');
    assert.equal(await inService(host, 'web', ...direct), '42 apples in stock');
    await host.weir('policy', 'import', join(CHECKOUT, 'examples/compose/policy.json'));
    assert.equal(await inService(host, 'web', ...stock), '42 apples in stock');
    assert.equal(await inService(host, 'web', ...direct), undefined);
    assert.equal(await inService(host, 'db', 'nc', '-w', '2', 'api', '8080'), undefined);
    assert.equal(await inService(host, 'api', 'nc', '-w', '2', 'web', '80'), undefined);
  },
);

compose.test(
  'replicas of a service share one identity and its policy; one made anew has that of its new labels',
  async (host) => {
    await stack(host, SHOP, 'up', '-d', '--scale', 'api=3');
    const endpoints = await ask<api.Endpoint[]>(host, '/v1/endpoints');
    const replicas = endpoints.filter((endpoint) => endpoint.containerName.includes('_api_'));
    assert.equal(replicas.length, 3);
    assert.equal(new Set(replicas.map((endpoint) => endpoint.identity.id)).size, 1);
    const page = '42 apples in stock';
    for (const { ipv4 } of replicas) {
      const served = await inService(
        host,
        'web',
        'curl',
        '-s',
        '-m',
        '5',
        `http://${ipv4}:8080/cgi-bin/stock`,
      );
      assert.equal(served, page);
    }
    const change = join(host.machine.folder, 'change.yaml');
    writeFileSync(change, 'services: { web: { labels: { tier: edge } } }\n');
    await stack(host, SHOP, '-f', change, 'up', '-d', '-t', '1', '--scale', 'api=3');
    const after = await ask<api.Endpoint[]>(host, '/v1/endpoints');
    assert.equal(after.length, endpoints.length, 'the service that changed was made anew');
    const web = after.find((endpoint) => endpoint.identity.labels.includes('container:tier=edge'));
    assert.match(web?.containerName ?? '', /_web_1$/);
    assert.equal(
      await inService(host, 'web', 'curl', '-s', '-m', '5', 'http://api:8080/cgi-bin/stock'),
      page,
    );
    await stack(host, SHOP, 'down', '-t', '1');
    await host.weir('policy', 'delete', '--all');
    await expectNothingLeft(host);
  },
);

compose.test('a frontend and backend stack works in both directions, twice', async (host) => {
  for (let round = 0; round < 2; round++) {
    await stack(host, TWO_NETWORKS, 'up', '-d');
    const fetch = (from: string, to: string): Promise<string | undefined> =>
      inService(host, from, 'curl', '-s', '--connect-timeout', '1.5', `http://${to}`);
    assert.deepEqual(
      [
        await fetch('web', 'api'),
        await fetch('api', 'web'),
        await fetch('db', 'api'),
        await fetch('api', 'db'),
      ],
      ['api', 'web', 'api', 'db'],
    );
    const db = (await ask<api.Endpoint[]>(host, '/v1/endpoints')).find(
      (endpoint) => endpoint.network === 'stack_backend' && endpoint.containerName === 'stack_db_1',
    );
    assert.equal(await fetch('web', db?.ipv4 ?? ''), undefined);
    await stack(host, TWO_NETWORKS, 'down', '-t', '1');
    await expectNothingLeft(host);
  }
});
