/** GET /v1/monitor: flow events as lines of JSON, for as long as the client reads. */
import type { Request, Response } from 'express';
import type { api } from '../base/index.ts';
import type { FlowFilter } from '../observe/index.ts';
import { badRequest } from './api-error.ts';
import { clip, integer, queryOf, single } from './api-request.ts';
import type { AgentState } from './api-state.ts';

const TYPES: readonly string[] = ['drop', 'trace', 'policy-verdict'] satisfies api.FlowType[];

function typesOf(values: string[]): api.FlowType[] {
  const names = values.flatMap((value) => value.split(','));
  const unknown = names.find((name) => !TYPES.includes(name));
  if (unknown !== undefined)
    throw badRequest(`"${clip(unknown)}" is no event type`, `types: ${TYPES.join(', ')}`);
  return names as api.FlowType[];
}

function filterOf(request: Request): FlowFilter {
  const query = queryOf(request, ['type', 'from', 'to', 'relatedTo']);
  const filter: FlowFilter = {};
  const types = query.get('type');
  if (types !== undefined) filter.types = typesOf(types);
  for (const side of ['from', 'to', 'relatedTo'] as const) {
    const text = single(query, side);
    if (text !== undefined) filter[side] = integer(text, 'endpoint', [1, 65_535]);
  }
  return filter;
}

/** Holds the response open. Backpressure: while the socket is full the subscription queues and then counts losses. */
export function streamFlows(state: AgentState, request: Request, response: Response): void {
  const filter = filterOf(request);
  response.setHeader('content-type', 'application/x-ndjson');
  response.flushHeaders();
  const subscription = state.flows(filter, {
    write: (record) => {
      corkForThisTurn(response);
      return response.write(`${JSON.stringify(record)}\n`);
    },
  });
  response.on('drain', () => subscription.resume());
  response.on('close', () => subscription.close());
}

/** Events come in bursts: one burst, one write to the socket. */
function corkForThisTurn(response: Response): void {
  if (response.writableCorked > 0) return;
  response.cork();
  process.nextTick(() => response.uncork());
}
