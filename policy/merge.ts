import { type Label, parseLabel } from '../identity/index.ts';
import { originLabels } from './policy-origin.ts';
import type { Rule } from './rule.ts';

/**
 * The rule list after an import. Imported rules take the place of the present ones of the same object (kind, network and
 * name) or with the same labels; without labels, a rule that is there already stays there once; the others come after. Importing twice is importing once.
 */
export function mergeRules(
  current: readonly Rule[],
  imported: readonly Rule[],
  options: { replaceAll: boolean },
): Rule[] {
  const replacements = groupByName(imported);
  const merged: Rule[] = [];
  const placed = new Set<string>();
  const place = (name: string, rules: Rule[]): void => {
    if (!placed.has(name)) merged.push(...rules);
    placed.add(name);
  };
  for (const rule of options.replaceAll ? [] : current) {
    const replacement = replacements.get(nameOf(rule));
    if (replacement === undefined) merged.push(rule);
    else place(nameOf(rule), replacement);
  }
  for (const [name, rules] of replacements) place(name, rules);
  return merged;
}

/** The rules that carry all of `labels`; all rules for none. Throws UserError LABEL_INVALID. */
export function selectRules(rules: readonly Rule[], labels: readonly string[]): Rule[] {
  const wanted = labels.map((label) => parseLabel(label, 'any'));
  return rules.filter((rule) => carries(rule, wanted));
}

/** The rules that do not carry all of `labels`; every rule for none, so that forgetting the labels deletes nothing. */
export function deleteRules(rules: readonly Rule[], labels: readonly string[]): Rule[] {
  const selected = new Set(labels.length === 0 ? [] : selectRules(rules, labels));
  return rules.filter((rule) => !selected.has(rule));
}

function carries(rule: Rule, wanted: readonly Label[]): boolean {
  const labels = (rule.labels ?? []).map((label) => parseLabel(label));
  return wanted.every(({ source, key, value }) => {
    return labels.some(
      (label) => label.key === key && label.value === value && (source === 'any' || label.source === source),
    );
  });
}

/** What makes two rules the same rule: the object they came in, else their labels, or if they have none everything. */
function nameOf(rule: Rule): string {
  const { labels = [] } = rule;
  const origin = originLabels(rule);
  if (origin.length > 0) return JSON.stringify(origin);
  return JSON.stringify(labels.length > 0 ? labels : rule);
}

/** Rules under each name, identical ones once. */
function groupByName(rules: readonly Rule[]): Map<string, Rule[]> {
  const groups = new Map<string, Map<string, Rule>>();
  for (const rule of rules) {
    const group = groups.get(nameOf(rule)) ?? new Map<string, Rule>();
    groups.set(nameOf(rule), group.set(JSON.stringify(rule), rule));
  }
  return new Map([...groups].map(([name, group]) => [name, [...group.values()]]));
}
