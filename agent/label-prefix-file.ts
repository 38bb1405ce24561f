/** The label filter as a file: {"version": 1, "valid-prefixes": [{"prefix": "team", "source": "container", "invert": true}]}. */
import { UserError } from '../base/index.ts';

function fault(file: string, what: string): UserError {
  return new UserError('CONFIG_INVALID', `${file}: ${what}`, {
    hint: 'write {"version": 1, "valid-prefixes": [{"prefix": "team"}]}',
  });
}

/** One item in the form that `--labels` takes. */
function itemOf(entry: unknown, place: string): string {
  const { prefix, source = '', invert = false, ...more } = Object(entry) as Record<string, unknown>;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw fault(place, `has an unknown field "${unknown}"`);
  if (typeof prefix !== 'string' || prefix === '') throw fault(place, 'has no prefix');
  if (/[\s,]/.test(prefix)) throw fault(place, 'has a prefix with a space or a comma');
  if (typeof source !== 'string' || typeof invert !== 'boolean')
    throw fault(place, 'has a source or invert of the wrong type');
  return `${invert ? '!' : ''}${source === '' ? '' : `${source}:`}${prefix}`;
}

/** The items in the form that `--labels` takes. */
export function parseLabelPrefixFile(text: string, file: string): string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw fault(file, `is not JSON: ${(error as Error).message}`);
  }
  const { version, 'valid-prefixes': prefixes } = (body ?? {}) as Record<string, unknown>;
  if (version !== 1) throw fault(file, 'version must be 1');
  if (!Array.isArray(prefixes)) throw fault(file, 'valid-prefixes must be a list');
  return prefixes.map((entry, i) => itemOf(entry, `${file}: valid-prefixes[${i}]`)).join(' ');
}
