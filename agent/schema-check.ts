/** A small JSON schema checker for the tests: the part of JSON schema that openapi.yaml uses, nothing more. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  oneOf?: Schema[];
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  minLength?: number;
}

interface Operation {
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: Schema }> }>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Operation['responses'][string]> };
}

/** dist/agent/ is two levels below the root, where the source of the file stays. */
const SOURCE = new URL('../../agent/openapi.yaml', import.meta.url);

export const document = parse(readFileSync(SOURCE, 'utf8')) as Document;

/** Every "GET /v1/path/{id}" of the file. */
export function describedRoutes(): string[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/** The schema of an answer: of the status if the file names it, else of `default`. */
export function responseSchema(method: string, path: string, status: number): Schema {
  const { responses } = document.paths[path]![method]!;
  const response = responses[String(status)] ?? responses['default']!;
  const name = response.$ref?.split('/').pop();
  const content = (name === undefined ? response : document.components.responses[name]!).content!;
  return Object.values(content)[0]!.schema;
}

function typeOf(value: unknown): string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  return Number.isInteger(value) ? ['integer', 'number'] : [typeof value];
}

function checkObject(schema: Schema, value: Record<string, unknown>, path: string): string[] {
  const missing = (schema.required ?? [])
    .filter((key) => !(key in value))
    .map((key) => `${path}: ${key} is missing`);
  const inside = Object.entries(value).flatMap(([key, item]) => {
    const known = schema.properties?.[key] ?? schema.additionalProperties;
    if (known === false) return [`${path}: ${key} is not in the schema`];
    return typeof known === 'object' ? faults(known, item, `${path}.${key}`) : [];
  });
  return [...missing, ...inside];
}

function checkBounds(schema: Schema, value: unknown, path: string): string[] {
  if (!['string', 'number'].includes(typeof value) && !Array.isArray(value)) return [];
  const size = typeof value === 'number' ? value : (value as string | unknown[]).length;
  const least = schema.minimum ?? schema.minItems ?? schema.minLength ?? -Infinity;
  return size < least || size > (schema.maximum ?? Infinity) ? [`${path}: ${size} is out of bounds`] : [];
}

function checkKind(schema: Schema, value: unknown, path: string): string[] {
  const types = [schema.type ?? []].flat();
  if (types.length > 0 && !typeOf(value).some((type) => types.includes(type)))
    return [`${path}: is no ${types.join('|')}`];
  const values = schema.enum ?? ('const' in schema ? [schema.const] : [value]);
  return values.includes(value) ? [] : [`${path}: ${String(value)} is not in the list`];
}

function checkInside(schema: Schema, value: unknown, path: string): string[] {
  if (Array.isArray(value))
    return value.flatMap((item, i) => faults(schema.items ?? {}, item, `${path}[${i}]`));
  if (typeof value === 'object' && value !== null)
    return checkObject(schema, value as Record<string, unknown>, path);
  return [];
}

/** What is wrong with `value`; empty if it fits. */
export function faults(schema: Schema, value: unknown, path = '$'): string[] {
  if (schema.$ref !== undefined) {
    return faults(document.components.schemas[schema.$ref.split('/').pop()!]!, value, path);
  }
  if (schema.oneOf !== undefined) {
    const fits = schema.oneOf.filter((one) => faults(one, value, path).length === 0).length;
    return fits === 1 ? [] : [`${path}: fits ${fits} of the alternatives`];
  }
  const kind = checkKind(schema, value, path);
  return kind.length > 0 ? kind : [...checkBounds(schema, value, path), ...checkInside(schema, value, path)];
}
