import type { Field } from './field.ts';
import { suggest } from './nearest-name.ts';

/** What an object may hold: names it knows, and names of the field that weir refuses with a reason. */
export interface Shape<Name extends string> {
  known: readonly Name[];
  /** Lower-case name → what it is, as in "L7 rules". */
  unsupported?: Readonly<Record<string, string>>;
}

/** The members of an object by name. Upper and lower case are one, as in the field; no member goes unread. */
export function members<Name extends string>(field: Field, shape: Shape<Name>): Partial<Record<Name, Field>> {
  const found: Partial<Record<Name, Field>> = {};
  for (const [key, value] of field.entries()) {
    const name = shape.known.find((known) => known.toLowerCase() === key.toLowerCase());
    if (name === undefined) return refuse(key, value, shape);
    if (found[name] !== undefined) value.fail(`is ${name} a second time`, 'keep one of the two');
    found[name] = value;
  }
  return found;
}

function refuse(key: string, value: Field, shape: Shape<string>): never {
  const unsupported = new Map(Object.entries(shape.unsupported ?? {})).get(key.toLowerCase());
  if (unsupported !== undefined)
    return value.fail(`${unsupported} not supported yet`, 'leave the rule out for now');
  return value.fail('is an unknown field', suggest(key, shape.known));
}
