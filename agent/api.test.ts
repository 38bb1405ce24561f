import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Express } from 'express';
import request from 'supertest';
import { HostError, silentLog } from '../base/index.ts';
import { createApi } from './api.ts';
import { sampleState } from './api-sample.ts';
import { describedRoutes, faults, responseSchema } from './schema-check.ts';

function routesOf(app: Express): string[] {
  const routes = app.router.stack.flatMap(({ route }) => route ?? []);
  return routes.flatMap(({ path, stack }) => {
    const methods = new Set(stack.map(({ method }) => method.toUpperCase()));
    return [...methods].map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`);
  });
}

const trace = {
  source: { labels: ['id=app2'] },
  destination: { endpoint: 'app1' },
  dports: [{ port: 80, protocol: 'TCP' }],
};
const files = { files: [{ name: 'a.json', text: '[]' }] };

type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';

const audit = { policyAuditMode: 'enable' };

/** One request per answer that the API gives; `want` is a part of the answer. */
const CASES: { method: Method; path: string; url?: string; body?: object; status?: number; want?: object }[] =
  [
    { method: 'get', path: '/v1/status', want: { state: 'ok' } },
    { method: 'get', path: '/v1/version' },
    { method: 'get', path: '/v1/config' },
    { method: 'patch', path: '/v1/config', body: audit, want: { length: 1 } },
    { method: 'patch', path: '/v1/config', body: { policyAuditMode: 'on' }, status: 400 },
    { method: 'patch', path: '/v1/config', body: { colour: 'red' }, status: 400 },
    ...(['get', 'patch'] as const).map((method) => ({
      ...{ method, path: '/v1/endpoints/{id}/config', url: '/v1/endpoints/app1/config' },
      ...(method === 'patch' && { body: audit }),
      want: { policyAuditMode: method === 'patch' ? 'enable' : 'disable' },
    })),
    {
      method: 'patch',
      path: '/v1/endpoints/{id}/config',
      url: '/v1/endpoints/9/config',
      body: audit,
      status: 404,
    },
    { method: 'get', path: '/v1/networks' },
    { method: 'get', path: '/v1/ipam' },
    { method: 'get', path: '/v1/ips' },
    { method: 'get', path: '/v1/services', want: { length: 1 } },
    { method: 'get', path: '/v1/services/{id}', url: '/v1/services/1', want: { containerName: 'app1' } },
    {
      method: 'get',
      path: '/v1/services/{id}',
      url: '/v1/services/9',
      status: 404,
      want: { code: 'SERVICE_NOT_FOUND' },
    },
    { method: 'get', path: '/v1/endpoints', want: { length: 3 } },
    { method: 'get', path: '/v1/endpoints', url: '/v1/endpoints?labels=id=app1', want: { length: 1 } },
    {
      method: 'get',
      path: '/v1/endpoints',
      url: '/v1/endpoints?labels=container:id&labels=id=app9',
      want: { length: 0 },
    },
    { method: 'get', path: '/v1/endpoints', url: '/v1/endpoints?labels=', status: 400 },
    { method: 'get', path: '/v1/endpoints', url: '/v1/endpoints?colour=red', status: 400 },
    { method: 'get', path: '/v1/endpoints/{id}', url: '/v1/endpoints/1', want: { containerName: 'app1' } },
    { method: 'get', path: '/v1/endpoints/{id}', url: '/v1/endpoints/app1', want: { id: 1 } },
    { method: 'get', path: '/v1/endpoints/{id}', url: '/v1/endpoints/container-id:c0ffee2', want: { id: 2 } },
    { method: 'get', path: '/v1/endpoints/{id}', url: '/v1/endpoints/ipv6:fd00::3', want: { id: 3 } },
    {
      method: 'get',
      path: '/v1/endpoints/{id}',
      url: '/v1/endpoints/app2',
      status: 400,
      want: { code: 'ENDPOINT_AMBIGUOUS' },
    },
    {
      method: 'get',
      path: '/v1/endpoints/{id}',
      url: '/v1/endpoints/9',
      status: 404,
      want: { code: 'ENDPOINT_NOT_FOUND' },
    },
    { method: 'get', path: '/v1/endpoints/{id}', url: '/v1/endpoints/__proto__:x', status: 404 },
    { method: 'get', path: '/v1/identities', want: { length: 2 } },
    {
      method: 'get',
      path: '/v1/identities',
      url: '/v1/identities?labels=reserved:host',
      want: { length: 1 },
    },
    { method: 'get', path: '/v1/identities/{id}', url: '/v1/identities/257', want: { endpoints: 1 } },
    { method: 'get', path: '/v1/identities/{id}', url: '/v1/identities/999', status: 404 },
    { method: 'get', path: '/v1/identities/{id}', url: '/v1/identities/0x1', status: 400 },
    { method: 'get', path: '/v1/policy', want: { revision: 1 } },
    { method: 'put', path: '/v1/policy', body: files, want: { revision: 2, count: 1 } },
    { method: 'put', path: '/v1/policy', body: [{ endpointSelector: {} }], want: { revision: 2 } },
    {
      method: 'put',
      path: '/v1/policy',
      body: [{ wrong: 1 }],
      status: 400,
      want: { code: 'POLICY_INVALID' },
    },
    { method: 'put', path: '/v1/policy', body: { files: [] }, status: 400 },
    { method: 'put', path: '/v1/policy', body: { files: [{ name: 'a' }] }, status: 400 },
    { method: 'put', path: '/v1/policy', body: { ...files, replaceall: true }, status: 400 },
    { method: 'delete', path: '/v1/policy', url: '/v1/policy?labels=name=a', want: { revision: 3 } },
    { method: 'delete', path: '/v1/policy', url: '/v1/policy?all=true', want: { count: 1 } },
    { method: 'delete', path: '/v1/policy', status: 400 },
    { method: 'delete', path: '/v1/policy', url: '/v1/policy?all=true&labels=a', status: 400 },
    { method: 'delete', path: '/v1/policy', url: '/v1/policy?all=yes', status: 400 },
    { method: 'post', path: '/v1/policy/validate', body: files, want: { valid: true } },
    { method: 'post', path: '/v1/policy/preview', body: files, want: { revision: 1 } },
    { method: 'post', path: '/v1/policy/preview', body: { ...files, dry: true }, status: 400 },
    { method: 'post', path: '/v1/policy/trace', body: trace, want: { verdict: 'allowed' } },
    ...[
      ...[{}, { labels: ['a'], endpoint: 'b' }, { labels: [] }, { identity: 0 }, { identity: '300' }],
      ...[{ address: '' }, { colour: 'red' }],
    ].map((source) => {
      const body = { ...trace, source };
      return { method: 'post' as const, path: '/v1/policy/trace', body, status: 400 };
    }),
    {
      method: 'post',
      path: '/v1/policy/trace',
      body: { ...trace, dports: [{ port: 80, protocol: 'tcp' }] },
      status: 400,
    },
    { method: 'get', path: '/v1/policy/wait', url: '/v1/policy/wait?revision=1', want: { reached: true } },
    {
      method: 'get',
      path: '/v1/policy/wait',
      url: '/v1/policy/wait?revision=7&timeoutMs=5',
      want: { reached: false },
    },
    { method: 'get', path: '/v1/policy/wait', url: '/v1/policy/wait', status: 400 },
    { method: 'get', path: '/v1/policy/wait', url: '/v1/policy/wait?revision=1&revision=2', status: 400 },
    { method: 'get', path: '/v1/bpf/policy' },
    { method: 'get', path: '/v1/bpf/policy', url: '/v1/bpf/policy?endpoint=app2', want: { length: 1 } },
    {
      method: 'get',
      path: '/v1/bpf/policy',
      url: '/v1/bpf/policy?endpoint=container-id:c0ff',
      status: 400,
      want: { code: 'ENDPOINT_AMBIGUOUS' },
    },
    { method: 'get', path: '/v1/bpf/ct' },
    { method: 'get', path: '/v1/bpf/ipcache' },
    { method: 'get', path: '/v1/bpf/endpoint' },
    { method: 'get', path: '/v1/bpf/lb' },
    { method: 'get', path: '/v1/bpf/metrics' },
    { method: 'get', path: '/v1/monitor', url: '/v1/monitor?type=dorp', status: 400 },
    { method: 'get', path: '/v1/monitor', url: '/v1/monitor?from=0', status: 400 },
  ];

test('the routes of the app are the paths of openapi.yaml, in both directions', () => {
  assert.deepEqual(
    routesOf(createApi(sampleState(), { log: silentLog })).toSorted(),
    describedRoutes().toSorted(),
  );
});

test('every route is asked for at least once below', () => {
  const asked = new Set(CASES.map(({ method, path }) => `${method.toUpperCase()} ${path}`));
  assert.deepEqual([...asked].toSorted(), describedRoutes().toSorted());
});

for (const { method, path, url = path, body, status = 200, want = {} } of CASES) {
  test(`${method.toUpperCase()} ${url}${body === undefined ? '' : ` ${JSON.stringify(body)}`} is ${status}`, async () => {
    const app = request(createApi(sampleState(), { log: silentLog }));
    const response = await app[method](url).send(body);
    assert.equal(response.status, status, response.text);
    assert.deepEqual(faults(responseSchema(method, path, status), response.body), []);
    for (const [key, value] of Object.entries(want)) assert.deepEqual(response.body[key], value);
  });
}

test('an import hands over all files and the wish to replace, in one call', async () => {
  const state = sampleState();
  const sent = {
    files: [
      { name: 'a.json', text: '[1]' },
      { name: 'b.json', text: '[2]' },
    ],
    replaceAll: true,
  };
  await request(createApi(state, { log: silentLog }))
    .put('/v1/policy')
    .send(sent)
    .expect(200);
  assert.deepEqual(state.calls, [['import', sent.files, { replaceAll: true }]]);
});

test('a bare array is handed over as it was written, spaces and all', async () => {
  const state = sampleState();
  await request(createApi(state, { log: silentLog }))
    .put('/v1/policy')
    .send('[ {"a":1} ]')
    .expect(200);
  assert.deepEqual(state.calls, [
    ['import', [{ name: 'request', text: '[ {"a":1} ]' }], { replaceAll: false }],
  ]);
});

test('a trace is asked as it was written, ports or none', async () => {
  const state = sampleState();
  const app = createApi(state, { log: silentLog });
  const parties = { source: { identity: 300 }, destination: { address: '192.0.2.1' } };
  for (const body of [trace, parties]) {
    const { status } = await request(app).post('/v1/policy/trace').send(body);
    assert.equal(status, 200);
  }
  const query = { ...parties, dports: [] };
  assert.deepEqual(state.calls.shift(), ['trace', trace]);
  assert.deepEqual(state.calls, [['trace', query]]);
});

for (const { name, thrown, status, code } of [
  { name: 'what the host lacks', thrown: new HostError('NO_BPF', 'no bpf'), status: 503, code: 'NO_BPF' },
  { name: 'a bug', thrown: new TypeError('x is undefined\n  at y'), status: 500, code: 'INTERNAL' },
]) {
  test(`${name} is ${status}, one line, and the next request is served`, async () => {
    const app = createApi(sampleState({ status: () => { throw thrown; } }), { log: silentLog }); // prettier-ignore
    const response = await request(app).get('/v1/status');
    assert.equal(response.status, status);
    assert.equal(response.body.code, code);
    assert.doesNotMatch(response.body.message, /\n/);
    await request(app).get('/v1/version').expect(200);
  });
}

for (const { name, path, headers, body, status } of [
  { name: 'no JSON', path: '/v1/policy/trace', headers: {}, body: '{', status: 400 },
  { name: 'no body', path: '/v1/policy/trace', headers: {}, body: '', status: 400 },
  {
    name: 'no UTF-8',
    path: '/v1/policy/trace',
    headers: {},
    body: Buffer.from([0x22, 0xff, 0x22]),
    status: 400,
  },
  { name: 'too large', path: '/v1/policy/trace', headers: {}, body: ' '.repeat(65 * 1024), status: 413 },
  {
    name: 'compressed',
    path: '/v1/policy/trace',
    headers: { 'content-encoding': 'gzip' },
    body: '{}',
    status: 415,
  },
  { name: 'unknown path', path: '/v1/polic', headers: {}, body: '{}', status: 404 },
  { name: 'bad escape', path: '/v1/endpoints/%zz', headers: {}, body: '{}', status: 400 },
]) {
  test(`a body or path that is ${name} is ${status} with one line`, async () => {
    const app = createApi(sampleState(), { log: silentLog });
    const response = await request(app)
      .post(path)
      .set(headers)
      .serialize((value) => value as string)
      .send(body as string);
    assert.equal(response.status, status, response.text);
    assert.match(response.body.message, /^.+$/);
  });
}
