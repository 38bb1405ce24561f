/** Reads requests: query parameters and bodies, each refused in one line that names the place. */
import express, { type Request, type RequestHandler } from 'express';
import type { api } from '../base/index.ts';
import { badRequest } from './api-error.ts';

const SMALL_BODY = 64 * 1024;
const POLICY_BODY = 16 * 1024 * 1024;

/** Compressed bodies are refused: the limit then holds for what is parsed. */
function readBody(limit: number): RequestHandler {
  return express.raw({ type: () => true, limit, inflate: false });
}

export const smallBody = readBody(SMALL_BODY);
export const policyBody = readBody(POLICY_BODY);

/** Query parameters by name; those that the path does not know are refused, not ignored. */
export function queryOf(request: Request, known: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(/\?.*/s.exec(request.originalUrl)?.[0])) {
    if (!known.includes(name))
      throw badRequest(`unknown parameter "${name}"`, `known here: ${known.join(', ') || 'none'}`);
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

/** At most one value of a parameter. */
export function single(query: Map<string, string[]>, name: string): string | undefined {
  const values = query.get(name) ?? [];
  if (values.length > 1) throw badRequest(`parameter "${name}" is given ${values.length} times`);
  return values[0];
}

/** A whole number within bounds. */
export function integer(text: string, name: string, [least, most]: readonly [number, number]): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw badRequest(`"${clip(text)}" is no ${name}: it is a number from ${least} to ${most}`);
}

export function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The labels of the query; empty ones are a mistake, not a wish for everything. */
export function labelsOf(query: Map<string, string[]>): string[] {
  const labels = query.get('labels') ?? [];
  if (labels.some((label) => label === '' || label.length > 512))
    throw badRequest('a label has 1 to 512 characters');
  if (labels.length > 64) throw badRequest('at most 64 labels');
  return labels;
}

function jsonOf(request: Request): { text: string; value: unknown } {
  const bytes: unknown = request.body;
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) throw badRequest('the body is empty: it must be JSON');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badRequest('the body is not UTF-8');
  }
  try {
    return { text, value: JSON.parse(text) as unknown };
  } catch (error) {
    throw badRequest(`the body is not JSON: ${clip((error as Error).message)}`);
  }
}

type Fields = Record<string, unknown>;

/** An object with no fields but `known`. */
function objectAt(value: unknown, path: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(`${path} must be an object`);
  const extra = Object.keys(value).find((key) => !known.includes(key));
  if (extra !== undefined)
    throw badRequest(`${path} has an unknown field "${clip(extra)}"`, `known: ${known.join(', ')}`);
  return value as Fields;
}

function arrayAt(value: unknown, path: string, most: number): unknown[] {
  if (!Array.isArray(value)) throw badRequest(`${path} must be an array`);
  if (value.length > most) throw badRequest(`${path} may have ${most} items, not ${value.length}`);
  return value;
}

function textAt(value: unknown, path: string, most: number): string {
  if (typeof value !== 'string' || value === '' || value.length > most) {
    throw badRequest(`${path} must be a text of 1 to ${most} characters`);
  }
  return value;
}

function sourceAt(value: unknown, path: string): api.PolicySource {
  const { name, text } = objectAt(value, path, ['name', 'text']);
  if (typeof text !== 'string') throw badRequest(`${path}.text must be the text of a policy file`);
  return { name: textAt(name, `${path}.name`, 4096), text };
}

/** An ImportRequest; a bare array is the content of one policy file. */
export function importRequestOf(request: Request): { files: api.PolicySource[]; replaceAll: boolean } {
  const { text, value } = jsonOf(request);
  if (Array.isArray(value)) return { files: [{ name: 'request', text }], replaceAll: false };
  const body = objectAt(value, '$', ['files', 'replaceAll']);
  const files = arrayAt(body['files'], '$.files', 10_000).map((file, i) => sourceAt(file, `$.files[${i}]`));
  if (files.length === 0) throw badRequest('$.files is empty');
  const { replaceAll = false } = body;
  if (typeof replaceAll !== 'boolean') throw badRequest('$.replaceAll must be true or false');
  return { files, replaceAll };
}

const AUDIT_MODES: readonly unknown[] = ['enable', 'disable'];

export function optionsOf(request: Request): api.Options {
  const { policyAuditMode: mode } = objectAt(jsonOf(request).value, '$', ['policyAuditMode']);
  if (!AUDIT_MODES.includes(mode)) throw badRequest('$.policyAuditMode must be enable or disable');
  return { policyAuditMode: mode as api.Options['policyAuditMode'] };
}

const WAYS = ['labels', 'endpoint', 'identity', 'address'];

function partyAt(value: unknown, path: string): api.TraceParty {
  const { labels, endpoint, identity, address } = objectAt(value, path, WAYS);
  const given = [labels, endpoint, identity, address].filter((way) => way !== undefined);
  if (given.length !== 1) throw badRequest(`${path} must have one of ${WAYS.join(', ')}`);
  if (endpoint !== undefined) return { endpoint: textAt(endpoint, `${path}.endpoint`, 256) };
  if (address !== undefined) return { address: textAt(address, `${path}.address`, 64) };
  if (identity !== undefined) return { identity: identityAt(identity, `${path}.identity`) };
  const list = arrayAt(labels, `${path}.labels`, 64).map((label, i) =>
    textAt(label, `${path}.labels[${i}]`, 512),
  );
  if (list.length === 0) throw badRequest(`${path}.labels is empty`);
  return { labels: list };
}

function identityAt(value: unknown, path: string): number {
  if (Number.isInteger(value) && Number(value) > 0 && Number(value) < 2 ** 32) return Number(value);
  throw badRequest(`${path} must be a number from 1 to ${2 ** 32 - 1}`);
}

const PROTOCOLS: readonly unknown[] = [
  'TCP',
  'UDP',
  'SCTP',
  'ICMP',
  'ICMPv6',
  'ANY',
] satisfies api.TracePort['protocol'][];

function portAt(value: unknown, path: string): api.TracePort {
  const { port, protocol } = objectAt(value, path, ['port', 'protocol']);
  if (!Number.isInteger(port) || Number(port) < 0 || Number(port) > 65_535)
    throw badRequest(`${path}.port must be 0 to 65535`);
  if (!PROTOCOLS.includes(protocol))
    throw badRequest(`${path}.protocol must be one of ${PROTOCOLS.join(', ')}`);
  return { port: Number(port), protocol: protocol as api.TracePort['protocol'] };
}

export function traceRequestOf(request: Request): Required<api.TraceRequest> {
  const body = objectAt(jsonOf(request).value, '$', ['source', 'destination', 'dports']);
  return {
    source: partyAt(body['source'], '$.source'),
    destination: partyAt(body['destination'], '$.destination'),
    dports: arrayAt(body['dports'] ?? [], '$.dports', 64).map((port, i) => portAt(port, `$.dports[${i}]`)),
  };
}
