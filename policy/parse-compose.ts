import { type Field, quote } from './field.ts';
import { type Dialect, parseRule } from './parse-rule.ts';
import { isLabelValue, parseSelector } from './parse-selector.ts';
import { withStack } from './policy-origin.ts';
import type { Rule } from './rule.ts';

const POLICY = 'x-weir-policy';
const PROJECT_NAME = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;

/** Whether it is a file for Docker Compose. */
export function isCompose(field: Field): boolean {
  return field.names().some((name) => name === 'services' || name.startsWith('x-weir'));
}

/**
 * The rules that a compose file carries: under `x-weir-policy` at the top, and in services, where the service is the
 * subject. With a project name the rules carry it too, so that the next import of the file replaces all of them. Nothing
 * else of the file is read.
 */
export function parseCompose(file: Field): Rule[] {
  const top = memberOf(file, 'name');
  const project = top === undefined ? undefined : parseProject(top);
  const own = memberOf(file, POLICY);
  const services = servicesOf(file);
  const policies = [own, ...services.map(({ policy }) => policy)].filter((policy) => policy !== undefined);
  refuseOthers(file, new Set(policies.map(({ path }) => path)));
  refuseInherited(services);
  if (policies.length === 0) return file.fail(`has no ${POLICY}`, 'add it, at the top or to a service');
  const rules = [
    ...(own === undefined ? [] : parseRules(own, { subject: parseSelector, peer: parseSelector })),
    ...services.flatMap((service) => parseService(service, project)),
  ];
  return project === undefined ? rules : rules.map((rule) => withStack(rule, project));
}

interface Service {
  name: string;
  field: Field;
  policy: Field | undefined;
}

function servicesOf(file: Field): Service[] {
  const services = memberOf(file, 'services');
  if (services === undefined || !services.isObject()) return [];
  return services.entries().map(([name, field]) => ({ name, field, policy: memberOf(field, POLICY) }));
}

function parseProject(field: Field): string {
  const name = field.text();
  if (PROJECT_NAME.test(name)) return name;
  return field.fail(
    `${quote(name)} is no plain name of a project`,
    'write it out in lower case, or leave it out',
  );
}

/** Without the project the rules would be for the services of this name in every stack. */
function parseService({ name, policy }: Service, project: string | undefined): Rule[] {
  if (policy === undefined) return [];
  if (project === undefined) {
    return policy.fail(
      'is in a file without a project name',
      `add name: at the top, or move ${POLICY} to the top`,
    );
  }
  if (!isLabelValue(name))
    policy.fail(`is of ${quote(name)}, which no label can name`, 'name the service otherwise');
  const matchLabels = { 'com.docker.compose.project': project, 'com.docker.compose.service': name };
  return parseRules(policy, { subject: parseSelector, peer: parseSelector, implied: { matchLabels } });
}

function parseRules(field: Field, dialect: Dialect): Rule[] {
  return (field.isObject() ? [field] : field.list()).map((rule) => parseRule(rule, dialect));
}

function memberOf(field: Field, name: string): Field | undefined {
  if (!field.isObject()) return undefined;
  return field.entries().find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Policy at a place that is not read would be silently lost. */
function refuseOthers(field: Field, read: ReadonlySet<string>): void {
  if (read.has(field.path)) return;
  if (field.isObject()) {
    for (const [key, value] of field.entries()) {
      if (key.toLowerCase().startsWith('x-weir') && !read.has(value.path)) {
        value.fail('is not read here', `${POLICY} stands at the top or in a service`);
      }
      refuseOthers(value, read);
    }
  } else if (field.isList()) {
    for (const item of field.list()) refuseOthers(item, read);
  }
}

/** Compose would give a service the policy of another by its anchor; weir takes policy only where it is written. */
function refuseInherited(services: Service[]): void {
  const carriers = services.flatMap(({ field, policy }) => (policy === undefined ? [] : [field.anchor]));
  const anchors = new Set(carriers.filter((anchor) => anchor !== undefined));
  for (const { field } of services) {
    const merged = memberOf(field, '<<');
    for (const source of [field, ...(merged?.isList() ? merged.list() : [merged])]) {
      if (source?.alias === undefined || !anchors.has(source.alias)) continue;
      source.fail(`takes over the ${POLICY} of another service`, 'write the rules into each, or at the top');
    }
  }
}
