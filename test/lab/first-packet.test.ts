/** Invariant 1: no packet of a container is forwarded before its policy is in place, however early it is sent. */
import assert from 'node:assert/strict';
import { setPolicy } from './api.ts';
import { addressOf, importLabImage } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import { finish, send, startReceiver } from './probe.ts';
import type { Tally } from './probe.ts';

const DENIED_RUNS = 200;
const ALLOWED_RUNS = 20;
const DATAGRAMS = 10;
const AT_ONCE = 3;

const firstPacket = lab(
  () => LabHost.start({ name: 'first' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, '--ipv6', 'lane');
    await setPolicy(host, [
      {
        endpointSelector: { matchLabels: { role: 'target' } },
        ingress: [{ fromEndpoints: [{ matchLabels: { role: 'friend' } }] }],
      },
      {
        endpointSelector: { matchLabels: { role: 'silenced' } },
        egress: [{ toEndpoints: [{ matchLabels: { role: 'nobody' } }] }],
      },
    ]);
  },
);

/**
 * Runs that many short-lived senders, a few at once and in both families by turns; resolves to the number of datagrams
 * their kernels took.
 */
async function runs(host: LabHost, count: number, role: string, to: string[]): Promise<number> {
  let started = 0;
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (started++ < count) {
      const stream = {
        tag: role[0] ?? '',
        to: to[started % to.length] ?? '',
        port: 9000,
        count: DATAGRAMS,
        intervalUs: 1000,
      };
      const taken = await send(host, { network: 'lane', labels: [`role=${role}`] }, stream);
      sent += taken; // in a statement of its own: others add to it meanwhile
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return sent;
}

firstPacket.test(
  'every datagram of an allowed container arrives, its first one included; of a denied one none',
  async (host) => {
    const options = { network: 'lane', labels: ['role=target'], port: 9000 };
    const to = [await startReceiver(host, 'target', options), await addressOf(host, 'target', 'lane', 6)];
    const allowed = await runs(host, ALLOWED_RUNS, 'friend', to);
    const denied =
      (await runs(host, DENIED_RUNS / 2, 'enemy', to)) + (await runs(host, DENIED_RUNS / 2, 'silenced', to));
    assert.equal(allowed, ALLOWED_RUNS * DATAGRAMS);
    assert.equal(denied, DENIED_RUNS * DATAGRAMS);
    const tallies = await finish<Record<string, Tally>>(host, 'target');
    assert.deepEqual(tallies, { f: { received: allowed, last: DATAGRAMS - 1 } });
  },
);
