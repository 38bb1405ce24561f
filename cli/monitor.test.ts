import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import type { api } from '../base/index.ts';
import { fakeAgent } from './fake-agent.ts';
import { monitorLine } from './monitor-line.ts';
import { drop, web } from './sample.ts';

const world: api.FlowPeer = { ip: '1.1.1.1', port: 53, identity: 2, labels: ['reserved:world'] };

for (const { name, record, numeric = false, verbose = false, want } of [
  {
    name: 'a drop',
    record: drop,
    want: 'xx drop (Policy denied) flow to endpoint 12, identity 261->264 (app3->app1): 10.210.0.4:4242 -> 10.210.0.2:80 tcp SYN',
  },
  {
    name: 'a drop by numbers',
    record: drop,
    numeric: true,
    want: 'xx drop (Policy denied) flow to endpoint 12, identity 261->264: 10.210.0.4:4242 -> 10.210.0.2:80 tcp SYN',
  },
  {
    name: 'a drop towards the world by a rule',
    record: { ...drop, destination: world, summary: 's', rule: 2, ruleLabels: ['container:name=x'] },
    want: 'xx drop (Policy denied) flow from endpoint 4, identity 261->2 (app3->world): s, rule 2 (container:name=x)',
  },
  {
    name: 'a trace to an endpoint',
    record: { ...drop, type: 'trace', verdict: 'forwarded', reason: 'to-endpoint', summary: 's' },
    want: '-> endpoint 12, identity 261->264 (app3->app1) state new interface weir4: s',
  },
  {
    name: 'a trace from the stack',
    record: {
      ...drop,
      type: 'trace',
      verdict: 'forwarded',
      reason: 'from-stack',
      summary: 's',
      source: world,
    },
    want: '<- stack, identity 2->264 (world->app1) state new interface weir4: s',
  },
  {
    name: 'an allowed verdict',
    record: { ...drop, type: 'policy-verdict', verdict: 'allowed', reason: 'L3-L4', summary: 's', rule: 1 },
    want: 'Policy verdict flow to endpoint 12, identity 261->264 (app3->app1), ingress, action allow, match L3-L4: s, rule 1',
  },
  {
    name: 'a denied verdict',
    record: { ...drop, type: 'policy-verdict', verdict: 'denied', summary: 's' },
    want: 'Policy verdict flow to endpoint 12, identity 261->264 (app3->app1), ingress, action deny, Policy denied: s',
  },
  {
    name: 'an audited verdict',
    record: { ...drop, type: 'policy-verdict', verdict: 'audited', summary: 's' },
    want: 'Policy verdict flow to endpoint 12, identity 261->264 (app3->app1), ingress, action audit, Policy denied: s',
  },
  { name: 'a loss', record: { type: 'lost', count: 3 }, want: '!! 3 events lost: the reader is too slow' },
  {
    name: 'everything',
    record: { ...drop, summary: 's', policyLog: 'ticket 9' },
    verbose: true,
    want: `xx drop (Policy denied) flow to endpoint 12, identity 261->264 (app3->app1): s
    2026-01-02T03:04:05.000000006Z ingress interface weir4 length 74 state new
    from weir:network=app-net
    to container:id=app1
    policy revision 3, log "ticket 9"`,
  },
] satisfies {
  name: string;
  record: api.MonitorRecord;
  numeric?: boolean;
  verbose?: boolean;
  want: string;
}[]) {
  test(`the line of ${name}`, () => assert.equal(monitorLine(record, { numeric, verbose }), `${want}\n`));
}

function streamOf(
  records: api.MonitorRecord[],
  { stop }: { stop: boolean },
): (response: ServerResponse) => void {
  return (response) => {
    // In pieces that end anywhere, as a socket delivers them.
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
    response.write(text.slice(0, 100));
    setImmediate(() => {
      response.write(text.slice(100));
      if (stop) setTimeout(() => response.destroy(), 50);
    });
  };
}

const stopped = /^weir: weir agent at \S+ has stopped\n$/;

for (const flag of ['-j', '-o json', '-o jsonpath={.source.containerName}']) {
  test(`monitor ${flag}: one line an event, and the end of the agent is told`, async () => {
    await using agent = await fakeAgent({ 'GET /v1/monitor': streamOf([drop, drop], { stop: true }) });
    const { code, out, err } = await agent.weir(`monitor ${flag}`);
    const line = flag.includes('jsonpath') ? 'app3' : JSON.stringify(drop);
    assert.equal(out, `${line}\n${line}\n`);
    assert.equal(code, 1);
    assert.match(err, stopped);
  });
}

test('filters are asked of the agent; a container name is looked up', async () => {
  const wanted = 'GET /v1/monitor?type=drop%2Ctrace%2Cpolicy-verdict&to=12&relatedTo=4';
  await using agent = await fakeAgent({
    'GET /v1/endpoints/app1': web,
    [wanted]: streamOf([], { stop: true }),
  });
  await agent.weir('monitor -t drop,trace --type policy-verdict --to app1 --related-to 4');
  assert.deepEqual(
    agent.requests.map(({ line }) => line),
    ['GET /v1/endpoints/app1', wanted],
  );
});

test('an interrupt ends it with 0 and no word', async () => {
  await using agent = await fakeAgent({ 'GET /v1/monitor': streamOf([drop], { stop: false }) });
  const { code, err, out } = await agent.weir('monitor', { interrupted: AbortSignal.timeout(300) });
  assert.deepEqual({ code, err }, { code: 0, err: '' });
  assert.match(out, /^xx drop/);
});

const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

test('SIGINT ends the process with 0', async () => {
  await using agent = await fakeAgent({ 'GET /v1/monitor': streamOf([drop], { stop: false }) });
  const child = spawn(process.execPath, [MAIN, 'monitor', '-H', agent.socket]);
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('a reader that has seen enough ends it with 0 and no word', async () => {
  const flood = (response: ServerResponse): void => {
    const timer = setInterval(() => response.write(`${JSON.stringify(drop)}\n`), 1);
    response.on('close', () => clearInterval(timer));
  };
  await using agent = await fakeAgent({ 'GET /v1/monitor': flood });
  const child = spawn(process.execPath, [MAIN, 'monitor', '-H', agent.socket]);
  let err = '';
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  await once(child.stdout, 'data');
  child.stdout.destroy();
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.equal(err, '');
});
