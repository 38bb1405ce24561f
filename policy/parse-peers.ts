import { UserError, cidrContains, parseCidr, tryAddress } from '../base/index.ts';
import { type Field, quote } from './field.ts';
import { suggest } from './nearest-name.ts';
import type { CidrRange, Entity } from './rule.ts';
import { members } from './shape.ts';

const ENTITIES: readonly Entity[] = [
  'all',
  'world',
  'world-ipv4',
  'world-ipv6',
  'cluster',
  'host',
  'remote-node',
  'init',
  'health',
  'unmanaged',
  'kube-apiserver',
  'ingress',
  'none',
];
const MAPPED_IPV4 = /^::ffff:([\d.]+|[\da-f]+:[\da-f]+)$/;
const UNSUPPORTED = { cidrgroupref: 'CIDR groups are', cidrgroupselector: 'CIDR groups are' };

export function parseEntity(field: Field): Entity {
  const text = field.text();
  const entity = ENTITIES.find((name) => name === text);
  if (entity !== undefined) return entity;
  return field.fail(`${quote(text)} is no entity`, suggest(text, ENTITIES));
}

/** Canonical text; a bare address is a host prefix. */
export function parseCidrText(field: Field): string {
  const text = field.text();
  // The datapath keeps IPv4 there, so the two forms would be one key.
  if (MAPPED_IPV4.test(tryAddress(text.split('/')[0] ?? '') ?? '')) {
    return field.fail(`${quote(text)} is IPv4 in IPv6 form`, 'write it as IPv4');
  }
  return tryCidr(field, text).text;
}

export function parseCidrRange(field: Field): CidrRange {
  const parts = members(field, { known: ['cidr', 'except'], unsupported: UNSUPPORTED });
  if (parts.cidr === undefined) return field.fail('has no cidr', 'write {cidr, except}');
  const cidr = withLength(parts.cidr);
  if (parts.except === undefined) return { cidr };
  return { cidr, except: parts.except.list().map((except) => parseExcept(except, cidr)) };
}

function parseExcept(field: Field, cidr: string): string {
  const except = withLength(field);
  if (cidrContains(parseCidr(cidr), parseCidr(except))) return except;
  return field.fail(`${except} is not within ${cidr}`, 'except only carves from the cidr beside it');
}

function withLength(field: Field): string {
  const text = field.text();
  if (!text.includes('/'))
    field.fail(`${quote(text)} has no length`, `write ${quote(`${text}/32`)}, address/length`);
  return parseCidrText(field);
}

function tryCidr(field: Field, text: string): ReturnType<typeof parseCidr> {
  try {
    return parseCidr(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const [what, right] = error.message.replace(JSON.stringify(text), '').trim().split(': ');
    return field.fail(`${quote(text)} ${what}`, error.hint ?? right ?? 'write address/length');
  }
}
