/** Ten thousand malformed requests to both sockets of a running agent: one line each, nothing changed, nothing broken. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { IMAGE, importLabImage } from './cast.ts';
import { ask } from './api.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';

const ROUNDS = 5_000;
const PARALLEL = 16;

interface Answer {
  status: number;
  text: string;
}

/** Mulberry32: the same requests in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Bodies that no call can take: broken JSON, no object, or an object in which everything has a wrong type. */
function malformed(next: (below: number) => number, keys: string[]): string {
  const wrong = ['null', '17', '[17]', 'true', '{"a":{}}', '"\\u0000"', '-1e309', '""'];
  const value = (): string => wrong[next(wrong.length)] ?? '';
  const whole = `{${keys.map((key) => `"${key}":${value()}`).join(',')}}`;
  switch (next(4)) {
    case 0:
      return whole.slice(0, next(whole.length));
    case 1:
      return value();
    case 2:
      return `${whole}${'}'.repeat(1 + next(3))}`;
    default:
      return Buffer.from(Array.from({ length: next(64) }, () => 128 + next(128))).toString('latin1');
  }
}

const PLUGIN_CALLS: Record<string, string[]> = {
  'NetworkDriver.CreateNetwork': ['NetworkID', 'Options', 'IPv4Data', 'IPv6Data'],
  'NetworkDriver.DeleteNetwork': ['NetworkID'],
  'NetworkDriver.CreateEndpoint': ['NetworkID', 'EndpointID', 'Interface', 'Options'],
  'NetworkDriver.Join': ['NetworkID', 'EndpointID', 'SandboxKey', 'Options'],
  'NetworkDriver.Leave': ['NetworkID', 'EndpointID'],
  'NetworkDriver.DeleteEndpoint': ['NetworkID', 'EndpointID'],
  'IpamDriver.RequestPool': ['AddressSpace', 'Pool', 'SubPool', 'Options', 'V6'],
  'IpamDriver.RequestAddress': ['PoolID', 'Address', 'Options'],
  'IpamDriver.ReleaseAddress': ['PoolID', 'Address'],
  'IpamDriver.ReleasePool': ['PoolID'],
};

const API_CALLS: [method: string, path: string][] = [
  ['PUT', '/v1/policy'],
  ['POST', '/v1/policy/validate'],
  ['POST', '/v1/policy/trace'],
  ['GET', '/v1/policy/wait?revision=%ff'],
  ['DELETE', '/v1/policy?labels='],
  ['GET', '/v1/endpoints/%00'],
  ['GET', '/v1/identities/minus-one'],
  ['PATCH', '/v1/nothing/../here'],
];

function send(
  socketPath: string,
  agent: Agent,
  call: { method: string; path: string; body: string },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath,
        agent,
        method: call.method,
        path: call.path,
        headers: { 'content-type': 'application/json' },
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    sent.on('error', reject);
    sent.end(call.body);
  });
}

/** Sends `ROUNDS` requests, some at once; every answer must be a refusal in one line. */
async function flood(
  socketPath: string,
  refusal: (answer: Answer) => string,
  call: () => Parameters<typeof send>[2],
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL });
  try {
    for (let sent = 0; sent < ROUNDS; sent += PARALLEL) {
      const calls = Array.from({ length: PARALLEL }, call);
      const answers = await Promise.all(calls.map((item) => send(socketPath, agent, item)));
      for (const [at, answer] of answers.entries()) {
        const line = refusal(answer);
        const asked = JSON.stringify(calls[at]);
        assert.ok(
          line.length > 0 && !line.includes('\n'),
          `${asked} was answered ${answer.status} ${answer.text}`,
        );
      }
    }
  } finally {
    agent.destroy();
  }
}

async function stateOf(host: LabHost): Promise<unknown> {
  const paths = [
    'endpoints',
    'networks',
    'ipam',
    'policy',
    'identities',
    'bpf/policy',
    'bpf/endpoint',
    'ips',
  ];
  return Promise.all(paths.map((path) => ask(host, `/v1/${path}`)));
}

const badInput = lab(
  () => LabHost.start({ name: 'badinput' }),
  async (host) => {
    await importLabImage(host);
    await host.agent();
    await host.docker('network', 'create', ...DRIVERS, 'net');
    await host.docker(
      'run',
      '-d',
      '--name',
      'web',
      '--network',
      'net',
      IMAGE,
      'httpd',
      '-f',
      '-p',
      '80',
      '-h',
      '/www',
    );
  },
);

badInput.test(
  'five thousand malformed plugin calls are refused in one line and change nothing',
  async (host) => {
    const next = generator(1);
    const names = Object.keys(PLUGIN_CALLS);
    const before = await stateOf(host);
    const refusal = ({ text }: Answer): string =>
      (JSON.parse(text) as { Err?: string; Error?: string }).Err ?? '';
    const socket = join(host.machine.folder, 'plugin.sock'); // that of a plugin is too long for the name of a socket
    symlinkSync(`/proc/${host.machine.pid}/root${await host.pluginSocket()}`, socket);
    await flood(socket, refusal, () => {
      const name = names[next(names.length)] ?? '';
      return { method: 'POST', path: `/${name}`, body: malformed(next, PLUGIN_CALLS[name] ?? []) };
    });
    assert.deepEqual(await stateOf(host), before);
  },
);

badInput.test(
  'five thousand malformed API requests are refused in one line and change nothing',
  async (host) => {
    const next = generator(2);
    const before = await stateOf(host);
    const refusal = ({ status, text }: Answer): string =>
      status >= 400 && status < 500 ? (JSON.parse(text) as { message: string }).message : '';
    await flood(`/proc/${host.machine.pid}/root/run/weir/weir.sock`, refusal, () => {
      const [method, path] = API_CALLS[next(API_CALLS.length)] ?? ['GET', '/'];
      return {
        method,
        path,
        body: malformed(next, ['files', 'replaceAll', 'source', 'destination', 'dports']),
      };
    });
    assert.deepEqual(await stateOf(host), before);
  },
);

badInput.test('afterwards a container still starts and is reached', async (host) => {
  const answer = await host.attemptDocker(
    'run',
    '--rm',
    '--network',
    'net',
    IMAGE,
    'curl',
    '-sS',
    '-m',
    '3',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    'http://web',
  );
  assert.equal(answer.stdout, '404');
});
