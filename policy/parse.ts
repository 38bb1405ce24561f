import { UserError } from '../base/index.ts';
import { readDocuments, readJson } from './document.ts';
import type { Field } from './field.ts';
import { type Dialect, parseRule } from './parse-rule.ts';
import { parseSelector } from './parse-selector.ts';
import type { Rule } from './rule.ts';

const PLAIN: Dialect = { subject: parseSelector, peer: parseSelector };

/**
 * The rules of a policy file: a JSON array of rules or a single rule, or the same in YAML. Keys match without regard to
 * case. Throws UserError POLICY_INVALID for the first thing that is wrong, as `file:line:column: path: what; advice`.
 */
export function parsePolicy(text: string, file: string): Rule[] {
  const json = readJson(text, file);
  if (json !== undefined) {
    try {
      return parseRoot(json);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  return readDocuments(text, file).flatMap(parseRoot);
}

function parseRoot(root: Field): Rule[] {
  return root.isObject() ? [parsePlain(root)] : root.list().map(parsePlain);
}

function parsePlain(field: Field): Rule {
  return parseRule(field, PLAIN);
}
