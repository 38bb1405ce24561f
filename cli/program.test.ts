import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeAgent, runWeir } from './fake-agent.ts';
import { status } from './sample.ts';

for (const line of [
  'nonsense',
  'status --loud',
  'status extra',
  'status -o yaml',
  'status -o jsonpath',
  `status -o jsonpath={.a`,
  `status -o jsonpath={end}`,
  'status -H tcp://localhost:80',
  'endpoint',
  'endpoint get',
  'endpoint get 1 -l a',
  'identity get',
  'policy',
  'policy import',
  'policy delete',
  'policy delete a --all',
  'policy wait',
  'policy wait soon',
  'policy trace',
  'policy trace -s a',
  'policy trace -s a --src-endpoint 4 -d b',
  'policy trace -s a -d b --dport http',
  'policy trace -s a -d b --dport 80/ip',
  'policy trace -s a -d b --dport 70000',
  'bpf policy get',
  'monitor -t agent',
  'monitor -t drop,l7',
  'completion zsh',
  '-H /x agent',
  '',
]) {
  test(`a wrong command line is 2 and says why: weir ${line}`, async () => {
    const { code, out, err } = await runWeir(line.split(' ').filter(Boolean));
    assert.deepEqual({ code, out }, { code: 2, out: '' });
    assert.notEqual(err, '');
  });
}

for (const line of ['--help', 'help', 'policy --help', 'help policy', 'monitor -h', '--version']) {
  test(`help and version are 0 and on stdout: weir ${line}`, async () => {
    const { code, out, err } = await runWeir(line.split(' '));
    assert.deepEqual({ code, err }, { code: 0, err: '' });
    assert.notEqual(out, '');
  });
}

test('without an agent: one line that says how to start it, exit 1', async () => {
  const { code, out, err } = await runWeir(['status', '-H', 'unix:///nowhere/weir.sock']);
  assert.deepEqual({ code, out }, { code: 1, out: '' });
  assert.match(err, /^weir: weir agent is not running at \/nowhere\/weir\.sock \(start it with .*\)\n$/);
});

test('version works without an agent', async () => {
  const { code, out } = await runWeir(['version', '--host', '/nowhere/weir.sock']);
  assert.equal(code, 0);
  assert.match(out, /^Client: +0\.1\.0 .*\nDaemon: +not running\n$/);
});

test('-H stands before or after the command and beats WEIR_SOCK, which may be a path or a URL', async () => {
  await using agent = await fakeAgent({ 'GET /v1/status': status });
  const host = `unix://${agent.socket}`;
  const nowhere = { env: { WEIR_SOCK: '/nowhere' } };
  assert.equal((await runWeir(['-H', host, 'status'], nowhere)).code, 0);
  assert.equal((await runWeir(['status', `--host=${host}`], nowhere)).code, 0);
  assert.equal((await runWeir(['status', '--brief', '-H', agent.socket], nowhere)).code, 0);
  assert.equal((await runWeir(['status'], { env: { WEIR_SOCK: host } })).code, 0);
  assert.equal((await runWeir(['status'], nowhere)).code, 1);
});

test('an agent that dies in mid-answer is a failure, not a crash', async () => {
  const die = (response: {
    writeHead(status: number): void;
    write(text: string): void;
    destroy(): void;
  }): void => {
    response.writeHead(200);
    response.write('{"state"');
    response.destroy();
  };
  await using agent = await fakeAgent({ 'GET /v1/status': die });
  const { code, err } = await agent.weir('status');
  assert.equal(code, 1);
  assert.match(err, /^weir: .+\n$/);
});

test('import sends a file, a folder in order without hidden and other files, and standard input', async () => {
  await using agent = await fakeAgent({
    'PUT /v1/policy': { revision: 7, count: 2 },
    'POST /v1/policy/validate': { valid: true, count: 1 },
  });
  const folder = await mkdtemp(join(tmpdir(), 'weir-policy-'));
  try {
    for (const name of ['b.json', 'a.yaml', '.hidden.json', 'notes.txt'])
      await writeFile(join(folder, name), `text of ${name}`);
    const file = (name: string): { name: string; text: string } => ({
      name: join(folder, name),
      text: `text of ${name}`,
    });
    assert.deepEqual(await agent.weir(`policy import ${folder}`), { code: 0, out: 'Revision: 7\n', err: '' });
    assert.equal((await agent.weir(`policy import --replace-all ${join(folder, 'b.json')}`)).code, 0);
    assert.equal((await agent.weir('policy import -', { stdin: '[]' })).code, 0);
    const several = await agent.weir(`policy import - ${join(folder, 'b.json')} ${folder}`, { stdin: '[]' });
    assert.equal(several.code, 0);
    assert.equal((await agent.weir('policy import - -')).code, 2);
    assert.equal((await agent.weir(`policy validate ${join(folder, 'b.json')}`)).out, 'Valid: 1 rule\n');
    assert.deepEqual(agent.requests, [
      { line: 'PUT /v1/policy', body: { files: [file('a.yaml'), file('b.json')], replaceAll: false } },
      { line: 'PUT /v1/policy', body: { files: [file('b.json')], replaceAll: true } },
      { line: 'PUT /v1/policy', body: { files: [{ name: 'stdin', text: '[]' }], replaceAll: false } },
      {
        line: 'PUT /v1/policy',
        body: {
          files: [{ name: 'stdin', text: '[]' }, file('b.json'), file('a.yaml'), file('b.json')],
          replaceAll: false,
        },
      },
      { line: 'POST /v1/policy/validate', body: { files: [file('b.json')] } },
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a policy file that is not there, or a folder with none, is one line and asks nothing of the agent', async () => {
  await using agent = await fakeAgent({});
  const folder = await mkdtemp(join(tmpdir(), 'weir-policy-'));
  try {
    await chmod(folder, 0o755);
    const missing = await agent.weir(`policy import ${join(folder, 'x.json')}`);
    assert.deepEqual(missing, {
      code: 1,
      out: '',
      err: `weir: read ${join(folder, 'x.json')}: no such file\n`,
    });
    assert.match((await agent.weir(`policy import ${folder}`)).err, /^weir: no policy files in .*\n$/);
    assert.deepEqual(agent.requests, []);
  } finally {
    await rm(folder, { recursive: true });
  }
});
