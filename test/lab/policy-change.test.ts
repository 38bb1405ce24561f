/** Invariant 6 and live connections: a revision is seen whole or not at all, and counts for what is already connected. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask, setPolicy } from './api.ts';
import { importLabImage, reaches, remove, start } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost, WEIR } from './host.ts';
import { lab } from './lab-test.ts';
import { finish, sendCommand, startReceiver } from './probe.ts';
import type { Tally } from './probe.ts';
import { sleep, until } from './run.ts';

const CHANGES = 200;
const NETWORK = 'net';

const change = lab(
  () => LabHost.start({ name: 'change' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, NETWORK);
  },
);

/** What a dry run says of the two containers, in words. */
async function previewOf(host: LabHost, rules: unknown[]): Promise<object> {
  const files = [{ name: 'test.json', text: JSON.stringify(rules) }];
  const { changes, connections } = await ask<api.PolicyPreview>(host, '/v1/policy/preview', { files });
  const isMeant = ({ source }: api.VerdictChange): boolean => source.containers.includes('talker');
  return {
    changes: changes
      .filter(isMeant)
      .map((change) => `talker > ${change.destination.containers.join()} ${change.after}`),
    connections: connections.map(({ source, destination, after }) => {
      return `${source.containerName} > ${destination.containerName}:${destination.port} ${after}`;
    }),
  };
}

const target = { matchLabels: { role: 'target' } };
const friend = { matchLabels: { role: 'friend' } };

/** Two ways to say the same of friends and strangers, with different entries, ranges and rule numbers. */
const SAME_MEANING = [
  [{ endpointSelector: target, ingress: [{ fromEndpoints: [friend] }] }],
  [
    { endpointSelector: { matchLabels: { role: 'nobody' } }, ingress: [{ fromCIDR: ['198.51.100.0/24'] }] },
    {
      endpointSelector: target,
      ingress: [
        { fromEndpoints: [friend], toPorts: [{ ports: [{ port: '8000', endPort: 9999, protocol: 'UDP' }] }] },
      ],
      ingressDeny: [{ fromEndpoints: [{ matchLabels: { role: 'stranger' } }] }],
    },
    { endpointSelector: friend, egress: [{ toEndpoints: [target] }, { toCIDR: ['203.0.113.0/24'] }] },
  ],
];

change.test(`${CHANGES} policy changes under traffic: none of them is seen half`, async (host) => {
  const to = await startReceiver(host, 'target', { network: NETWORK, labels: ['role=target'], port: 9000 });
  await setPolicy(host, SAME_MEANING[0] ?? []);
  const endless = { to, port: 9000, count: 0 };
  const senders = {
    steady: { role: 'friend', stream: { ...endless, tag: 'e', intervalUs: 500 } },
    fresh: { role: 'friend', stream: { ...endless, tag: 'n', intervalUs: 2000, fresh: true } },
    denied: { role: 'stranger', stream: { ...endless, tag: 'd', intervalUs: 2000, fresh: true } },
  };
  for (const [name, { role, stream }] of Object.entries(senders)) {
    await start(host, name, { network: NETWORK, labels: [`role=${role}`], command: sendCommand(stream) });
  }
  for (let round = 1; round <= CHANGES; round++) await setPolicy(host, SAME_MEANING[round % 2] ?? []);
  const [steady, fresh, denied] = await Promise.all(
    Object.keys(senders).map((name) => finish<{ sent: number }>(host, name)),
  );
  const tallies = await finish<Record<string, Tally>>(host, 'target');
  assert.ok(denied !== undefined && denied.sent > 100);
  assert.deepEqual(tallies, {
    e: { received: steady?.sent, last: (steady?.sent ?? 0) - 1 },
    n: { received: fresh?.sent, last: (fresh?.sent ?? 0) - 1 },
  });
});

change.test('a new deny cuts a live TCP connection, its end lets it go on', async (host) => {
  await setPolicy(host, []);
  await start(host, 'web', {
    network: NETWORK,
    labels: ['role=target'],
    command: ['sh', '-c', 'tail -f /dev/null | nc -l -p 9000 >/tmp/heard'],
  });
  const talk = 'while :; do echo word; sleep 0.1; done | nc web 9000';
  await start(host, 'talker', { network: NETWORK, labels: ['role=stranger'], command: ['sh', '-c', talk] });
  const heard = async (): Promise<number> =>
    Number(await host.docker('exec', 'web', 'stat', '-c', '%s', '/tmp/heard'));
  await until('the first words arrive', async () => (await heard()) > 20);
  const friendsOnly = [{ endpointSelector: target, ingress: [{ fromEndpoints: [friend] }] }];
  const foreseen = await previewOf(host, friendsOnly);
  await setPolicy(host, friendsOnly);
  const atDeny = await heard();
  await sleep(1500);
  assert.equal(await heard(), atDeny);
  assert.deepEqual(foreseen, {
    changes: ['talker > web denied'],
    connections: ['talker > web:9000 denied'],
  });
  await setPolicy(host, []);
  await until('words arrive again', async () => (await heard()) > atDeny, 20_000);
  await remove(host);
});

change.test(
  'audit: what policy denies passes and is told, of one endpoint or of all, until it is ended',
  async (host) => {
    await setPolicy(host, [{ endpointSelector: target, ingress: [{ fromEndpoints: [friend] }] }]);
    const web = await start(host, 'web', { network: NETWORK, labels: ['role=target'] });
    await start(host, 'visitor', { network: NETWORK, labels: ['role=stranger'] });
    const passes = (): Promise<boolean> => reaches(host, 'visitor', web);
    const traced = async (): Promise<string> => {
      const [source, destination] = ['visitor', 'web'].map((name) => ({
        endpoint: `container-name:${name}`,
      }));
      const dports = [{ port: 80, protocol: 'TCP' }];
      return (await ask<api.TraceResult>(host, '/v1/policy/trace', { source, destination, dports })).verdict;
    };
    assert.deepEqual([await passes(), await traced()], [false, 'denied']);
    const told = host.machine.background([WEIR, 'monitor', '--type', 'policy-verdict', '-j']);
    let events = '';
    told.stdout?.on('data', (chunk: Buffer) => (events += chunk.toString()));
    assert.match(await host.weir('endpoint', 'config', 'web', 'PolicyAuditMode=enable'), /Enabled/);
    await until('an audited verdict is told', async () => {
      assert.ok(await passes());
      return /"verdict":"audited","reason":"Policy denied"/.test(events);
    });
    told.kill('SIGKILL');
    assert.match(await host.weir('endpoint', 'list'), /Disabled \(Audit\)/);
    await host.killAgent();
    assert.equal(await passes(), true, 'without the agent');
    await host.agent();
    assert.deepEqual([await passes(), await traced()], [true, 'audited']);
    await host.weir('endpoint', 'config', 'web', 'PolicyAuditMode=disable');
    assert.deepEqual([await passes(), await traced()], [false, 'denied']);
    await host.weir('config', 'PolicyAuditMode=enable');
    assert.deepEqual([await passes(), await traced()], [true, 'audited']);
    await host.weir('config', 'PolicyAuditMode=disable');
    assert.deepEqual([await passes(), await traced()], [false, 'denied']);
    await remove(host);
  },
);
