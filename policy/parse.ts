import { UserError } from '../base/index.ts';
import { readDocuments, readJson } from './document.ts';
import type { Field } from './field.ts';
import { isCompose, parseCompose } from './parse-compose.ts';
import { isEnvelope, parseEnvelope } from './parse-envelope.ts';
import { type Dialect, parseRule } from './parse-rule.ts';
import { parseSelector } from './parse-selector.ts';
import type { Rule } from './rule.ts';

const PLAIN: Dialect = { subject: parseSelector, peer: parseSelector };

/**
 * The rules of a policy file: rules and policy objects of Kubernetes, one or a list of them, as JSON or as documents of
 * YAML, or a compose file with rules in it. Keys match without regard to case. Throws UserError POLICY_INVALID for the first thing that is wrong, as `file:line:column: path: what; advice`.
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
  return root.isObject() ? parseObject(root) : root.list().flatMap(parseObject);
}

function parseObject(field: Field): Rule[] {
  if (isEnvelope(field)) return parseEnvelope(field);
  return isCompose(field) ? parseCompose(field) : [parseRule(field, PLAIN)];
}
