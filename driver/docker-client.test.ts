import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DockerClient, type DockerEvent } from './docker-client.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A Docker API on a socket of its own; `asked` keeps the URLs. */
async function fakeApi(handler: Handler, imageLabels?: 'ignore') {
  const socketPath = join(mkdtempSync(join(tmpdir(), 'weir-docker-')), 'docker.sock');
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? ''));
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    client: new DockerClient({ socketPath, ...(imageLabels && { imageLabels }) }),
    asked,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

function send(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

const forever = (): AbortSignal => new AbortController().signal;
const container = {
  Id: 'c0ffee',
  Names: ['/web.1'],
  Labels: { id: 'web' },
  NetworkSettings: { Networks: { app: {}, none: {} } },
};

test('inside Join the container is found by the name that its unsettled endpoint has', async () => {
  await using api = await fakeApi(({ url = '' }, response) => {
    const Containers = {
      other: { Name: 'db', EndpointID: 'e1' },
      'ep-e2': { Name: 'web.1', EndpointID: 'e2' },
    };
    if (url.startsWith('/networks/')) send(response, { Id: 'n', Name: 'app', Containers });
    else send(response, [{ ...container, Id: 'other', Names: ['/web11'] }, container]);
  });
  assert.deepEqual(await api.client.identify('n', 'e2', forever()), {
    networkName: 'app',
    container: { id: 'c0ffee', name: 'web.1', labels: { id: 'web' }, networks: ['app'] },
  });
  assert.deepEqual(api.asked, ['/networks/n', '/containers/json?all=true&filters={"name":["^/web\\\\.1$"]}']);
});

test('after the start the container is found by its id', async () => {
  await using api = await fakeApi(({ url = '' }, response) => {
    const Containers = { c0ffee: { Name: 'web.1', EndpointID: 'e2' } };
    if (url.startsWith('/networks/')) send(response, { Id: 'n', Name: 'app', Containers });
    else send(response, [container]);
  });
  assert.equal((await api.client.identify('n', 'e2', forever()))?.container.id, 'c0ffee');
  assert.match(api.asked[1] ?? '', /filters=\{"id":\["c0ffee"\]\}/);
});

test('labels of the image do not count where that is wished', async () => {
  const labelled = { ...container, ImageID: 'sha256:feed', Labels: { id: 'web', role: 'admin' } };
  await using api = await fakeApi(({ url = '' }, response) => {
    const Containers = { 'ep-e2': { Name: 'web.1', EndpointID: 'e2' } };
    if (url.startsWith('/networks/')) send(response, { Id: 'n', Name: 'app', Containers });
    else if (url.startsWith('/images/')) send(response, { Config: { Labels: { role: 'admin' } } });
    else send(response, [labelled]);
  }, 'ignore');
  const found = await api.client.identify('n', 'e2', forever());
  assert.deepEqual(found?.container.labels, { id: 'web' });
  assert.equal(api.asked[2], '/images/sha256:feed/json');
});

test('without its image a container is nobody yet', async () => {
  await using api = await fakeApi(({ url = '' }, response) => {
    const Containers = { 'ep-e2': { Name: 'web.1', EndpointID: 'e2' } };
    if (url.startsWith('/networks/')) send(response, { Id: 'n', Name: 'app', Containers });
    else if (url.startsWith('/images/')) send(response, { message: 'no such image' }, 404);
    else send(response, [container]);
  }, 'ignore');
  await assert.rejects(api.client.identify('n', 'e2', forever()), { code: 'IMAGE_UNKNOWN' });
});

test('what Docker does not know is undefined: the network, the endpoint, the container', async () => {
  await using api = await fakeApi(({ url = '' }, response) => {
    if (url.startsWith('/networks/gone')) send(response, { message: 'no such network' }, 404);
    else if (url.startsWith('/networks/empty')) send(response, { Id: 'empty', Name: 'app' });
    else if (url.startsWith('/networks/'))
      send(response, { Id: 'n', Name: 'app', Containers: { 'ep-e2': { Name: 'web' } } });
    else send(response, []);
  });
  assert.equal(await api.client.identify('gone', 'e2', forever()), undefined);
  assert.equal(await api.client.endpoints('gone', forever()), undefined);
  assert.equal(await api.client.identify('empty', 'e2', forever()), undefined);
  assert.equal(await api.client.identify('n', 'e2', forever()), undefined);
});

test('an answer that does not come ends with the signal, and so does the request itself', async () => {
  let closed: Promise<unknown> | undefined;
  await using api = await fakeApi((request) => {
    closed = new Promise((resolve) => request.socket.once('close', resolve));
  });
  const limit = new AbortController();
  const asked = api.client.identify('n', 'e2', limit.signal);
  setTimeout(() => limit.abort(new Error('no answer within 20 ms')), 20);
  await assert.rejects(asked, {
    code: 'DOCKER_UNREACHABLE',
    retryable: true,
    message: /no answer within 20 ms/,
  });
  await closed;
});

test('an answer that is cut ends with the signal', async () => {
  await using api = await fakeApi((_request, response) => {
    response.writeHead(200, { 'Content-Length': '100' }).write('{"Name":');
    setTimeout(() => response.destroy(), 10);
  });
  const limit = new AbortController();
  setTimeout(() => limit.abort(), 100);
  await assert.rejects(api.client.networks(limit.signal), { code: 'DOCKER_UNREACHABLE' });
});

test('errors of Docker are told with its words', async () => {
  await using api = await fakeApi((_request, response) =>
    send(response, { message: 'daemon is tired' }, 500),
  );
  await assert.rejects(api.client.networks(forever()), {
    code: 'DOCKER_UNREACHABLE',
    message: /daemon is tired/,
  });
});

test('a socket that is not there is named', async () => {
  const client = new DockerClient({ socketPath: '/nonexistent/docker.sock' });
  await assert.rejects(client.networks(forever()), {
    code: 'DOCKER_UNREACHABLE',
    hint: /\/nonexistent\/docker\.sock/,
  });
  await assert.rejects(client.networks(AbortSignal.abort()), { code: 'DOCKER_UNREACHABLE' });
});

test('events come one by one, however they are cut, until the stream ends', async () => {
  const event = (id: string): string =>
    `${JSON.stringify({ Type: 'network', Action: 'create', Actor: { ID: id, Attributes: { name: id } } })}\n`;
  await using api = await fakeApi((_request, response) => {
    const text = event('one') + event('two');
    response.writeHead(200).write(text.slice(0, 20));
    setTimeout(() => response.end(text.slice(20)), 10);
  });
  const seen: DockerEvent[] = [];
  let opened = 0;
  await api.client.watch(
    () => opened++,
    (item) => seen.push(item),
    forever(),
  );
  assert.equal(opened, 1);
  assert.deepEqual(
    seen.map(({ id, action, attributes }) => [id, action, attributes['name']]),
    [
      ['one', 'create', 'one'],
      ['two', 'create', 'two'],
    ],
  );
  assert.match(api.asked[0] ?? '', /^\/events\?filters=\{"type":\["container","network"\]/);
});

test('events are let go when the signal aborts or Docker takes its socket away', async () => {
  await using api = await fakeApi((_request, response) => response.writeHead(200).flushHeaders());
  const limit = new AbortController();
  const aborted = api.client.watch(
    () => limit.abort(),
    () => undefined,
    limit.signal,
  );
  await assert.rejects(aborted);
  const closing = new Promise((resolve) => api.server.once('close', resolve));
  const watching = api.client.watch(
    () => api.server.close(),
    () => undefined,
    forever(),
  );
  await assert.rejects(watching);
  await closing;
});
