import { type Field, quote } from './field.ts';
import { ICMP_FAMILIES, icmpTypeNames, icmpTypeNumber } from './icmp-type.ts';
import { nearestName, suggest } from './nearest-name.ts';
import type { IcmpFamily, IcmpRule, IcmpType } from './rule.ts';
import { members } from './shape.ts';

const TYPE_NUMBER = /^(0|[1-9]\d{0,2})$/;

export function parseIcmpRule(field: Field): IcmpRule {
  const { fields } = members(field, { known: ['fields'] });
  const types = fields?.list().map(parseIcmpType) ?? [];
  if (types.length === 0)
    (fields ?? field).fail('names no type', 'list types as {family, type}, or leave icmps out');
  return { fields: types };
}

function parseIcmpType(field: Field): IcmpType {
  const parts = members(field, { known: ['family', 'type'] });
  if (parts.type === undefined) return field.fail('has no type', 'write {family, type}');
  const family = parts.family === undefined ? 'IPv4' : parseFamily(parts.family);
  return { family, type: parseType(parts.type, family) };
}

function parseFamily(field: Field): IcmpFamily {
  const text = field.text();
  const family = ICMP_FAMILIES.find((name) => name.toLowerCase() === text.toLowerCase());
  return family ?? field.fail(`${quote(text)} is no family`, suggest(text, ICMP_FAMILIES));
}

/** A number, or a name of the family, which comes out as its number. */
function parseType(field: Field, family: IcmpFamily): number {
  const text = field.numberOrText();
  if (TYPE_NUMBER.test(text) && Number(text) <= 255) return Number(text);
  const named = icmpTypeNumber(family, text);
  if (named !== undefined) return named;
  const near = nearestName(text, icmpTypeNames(family));
  const right =
    near === undefined ? 'a number from 0 to 255, or a name such as EchoRequest' : JSON.stringify(near);
  return field.fail(`${quote(text)} is no ICMP type of ${family}`, `write ${right}`);
}
