/** The agent's REST API. Routes and answers are those of openapi.yaml; a test holds them together. */
import express, { type Express, type Request, type Response } from 'express';
import { UserError, type api, type Log } from '../base/index.ts';
import { answerErrors, answerUnknownPath, badRequest } from './api-error.ts';
import { streamFlows } from './api-monitor.ts';
import {
  importRequestOf,
  integer,
  labelsOf,
  optionsOf,
  policyBody,
  queryOf,
  single,
  smallBody,
  traceRequestOf,
} from './api-request.ts';
import { selectEndpoint, selectIdentity, withLabels } from './api-select.ts';
import type { AgentState, Answer } from './api-state.ts';

const DEFAULT_WAIT_MS = 360_000;
const LONGEST_WAIT_MS = 3_600_000;

type Handler<T> = (request: Request, response: Response) => Answer<T>;

/** Answers with the JSON of what `handler` returns. */
function answer<T>(handler: Handler<T>): (request: Request, response: Response) => Promise<void> {
  return async (request, response) => {
    response.json(await handler(request, response));
  };
}

/** A path without parameters. */
function plain<T>(read: () => Answer<T>): ReturnType<typeof answer<T>> {
  return answer((request) => {
    queryOf(request, []);
    return read();
  });
}

function inspectRoutes(app: Express, state: AgentState): void {
  app.get(
    '/v1/status',
    plain(() => state.status()),
  );
  app.get(
    '/v1/version',
    plain(() => state.version()),
  );
  app.get(
    '/v1/config',
    plain(() => state.config()),
  );
  app.patch(
    '/v1/config',
    smallBody,
    answer((request) => {
      queryOf(request, []);
      return state.setConfig(optionsOf(request));
    }),
  );
  app.get(
    '/v1/networks',
    plain(() => state.networks()),
  );
  app.get(
    '/v1/ipam',
    plain(() => state.ipam()),
  );
  app.get(
    '/v1/ips',
    plain(() => state.ips()),
  );
  app.get('/v1/monitor', (request, response) => streamFlows(state, request, response));
}

function endpointRoutes(app: Express, state: AgentState): void {
  app.get(
    '/v1/endpoints',
    answer(async (request) => {
      const wanted = labelsOf(queryOf(request, ['labels']));
      return withLabels(await state.endpoints(), (endpoint) => endpoint.identity.labels, wanted);
    }),
  );
  app.get(
    '/v1/endpoints/:id',
    answer(async (request) => {
      queryOf(request, []);
      return selectEndpoint(await state.endpoints(), pathOf(request));
    }),
  );
  const keyOf = async (request: Request): Promise<string> => {
    queryOf(request, []);
    return selectEndpoint(await state.endpoints(), pathOf(request)).endpointId;
  };
  app.get(
    '/v1/endpoints/:id/config',
    answer(async (request) => state.endpointOptions(await keyOf(request))),
  );
  app.patch(
    '/v1/endpoints/:id/config',
    smallBody,
    answer(async (request) => state.setEndpointOptions(await keyOf(request), optionsOf(request))),
  );
  app.get(
    '/v1/identities',
    answer(async (request) => {
      const wanted = labelsOf(queryOf(request, ['labels']));
      return withLabels(await state.identities(), (identity) => identity.labels, wanted);
    }),
  );
  app.get(
    '/v1/identities/:id',
    answer(async (request) => {
      queryOf(request, []);
      const id = integer(pathOf(request), 'identity', [0, 2 ** 32 - 1]);
      const found = (await state.identities()).find((identity) => identity.id === id);
      if (found === undefined) throw new UserError('IDENTITY_NOT_FOUND', `no identity ${id} on this host`);
      return found;
    }),
  );
}

function serviceRoutes(app: Express, state: AgentState): void {
  app.get(
    '/v1/services',
    plain(() => state.services()),
  );
  app.get(
    '/v1/services/:id',
    answer(async (request) => {
      queryOf(request, []);
      const id = integer(pathOf(request), 'service', [0, 2 ** 32 - 1]);
      const found = (await state.services()).find((service) => service.id === id);
      if (found === undefined) throw new UserError('SERVICE_NOT_FOUND', `no service ${id} on this host`);
      return found;
    }),
  );
}

function policyRoutes(app: Express, state: AgentState): void {
  app.get(
    '/v1/policy',
    answer((request) => state.policy(labelsOf(queryOf(request, ['labels'])))),
  );
  app.put(
    '/v1/policy',
    policyBody,
    answer((request) => {
      queryOf(request, []);
      const { files, replaceAll } = importRequestOf(request);
      return state.importPolicy(files, { replaceAll });
    }),
  );
  app.delete(
    '/v1/policy',
    answer((request) => state.deletePolicy(deletionOf(request))),
  );
  app.post(
    '/v1/policy/validate',
    policyBody,
    answer((request) => {
      queryOf(request, []);
      return state.validatePolicy(importRequestOf(request).files);
    }),
  );
  app.post(
    '/v1/policy/preview',
    policyBody,
    answer((request) => {
      queryOf(request, []);
      const { files, replaceAll } = importRequestOf(request);
      return state.previewPolicy(files, { replaceAll });
    }),
  );
  app.post(
    '/v1/policy/trace',
    smallBody,
    answer((request) => tracePolicy(state, request)),
  );
  app.get(
    '/v1/policy/wait',
    answer((request, response) => {
      const query = queryOf(request, ['revision', 'timeoutMs']);
      const revision = integer(single(query, 'revision') ?? '', 'revision', [0, Number.MAX_SAFE_INTEGER]);
      const timeoutMs = integer(single(query, 'timeoutMs') ?? String(DEFAULT_WAIT_MS), 'timeoutMs', [
        0,
        LONGEST_WAIT_MS,
      ]);
      const left = new AbortController();
      response.on('close', () => left.abort());
      return state.waitRevision(revision, timeoutMs, left.signal);
    }),
  );
}

function bpfRoutes(app: Express, state: AgentState): void {
  app.get(
    '/v1/bpf/policy',
    answer(async (request) => {
      const id = single(queryOf(request, ['endpoint']), 'endpoint');
      return state.bpf.policy(id === undefined ? undefined : selectIdentity(await state.endpoints(), id).id);
    }),
  );
  app.get(
    '/v1/bpf/ct',
    plain(() => state.bpf.ct()),
  );
  app.get(
    '/v1/bpf/ipcache',
    plain(() => state.bpf.ipcache()),
  );
  app.get(
    '/v1/bpf/endpoint',
    plain(() => state.bpf.endpoint()),
  );
  app.get(
    '/v1/bpf/lb',
    plain(() => state.bpf.lb()),
  );
  app.get(
    '/v1/bpf/metrics',
    plain(() => state.bpf.metrics()),
  );
}

/** The value of the path's one parameter, `:id`. */
function pathOf(request: Request): string {
  return String(request.params['id']);
}

function deletionOf(request: Request): { labels: string[] } | 'all' {
  const query = queryOf(request, ['labels', 'all']);
  const labels = labelsOf(query);
  const all = single(query, 'all');
  if (all !== undefined && all !== 'true') throw badRequest('parameter "all" can only be true');
  if ((all === undefined) === (labels.length === 0)) throw badRequest('say which rules: labels, or all=true');
  return all === undefined ? { labels } : 'all';
}

function tracePolicy(state: AgentState, request: Request): Answer<api.TraceResult> {
  queryOf(request, []);
  return state.tracePolicy(traceRequestOf(request));
}

/** The app over `state`; it listens nowhere by itself. */
export function createApi(state: AgentState, { log }: { log: Log }): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  inspectRoutes(app, state);
  endpointRoutes(app, state);
  serviceRoutes(app, state);
  policyRoutes(app, state);
  bpfRoutes(app, state);
  app.use(answerUnknownPath);
  app.use(answerErrors(log));
  return app;
}
