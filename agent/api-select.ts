/** Picks endpoints and labelled things by what a person writes. */
import { UserError, type api } from '../base/index.ts';

type Match = (endpoint: api.Endpoint, value: string) => boolean;

const PREFIXES: Record<string, Match> = {
  'container-name': (endpoint, value) => endpoint.containerName === value,
  'container-id': (endpoint, value) => value.length >= 4 && endpoint.containerId.startsWith(value),
  'docker-endpoint': (endpoint, value) => value.length >= 4 && endpoint.endpointId.startsWith(value),
  ipv4: (endpoint, value) => endpoint.ipv4 === value,
  ipv6: (endpoint, value) => endpoint.ipv6 === value,
};

function matcher(id: string): (endpoint: api.Endpoint) => boolean {
  if (/^\d{1,5}$/.test(id)) return (endpoint) => endpoint.id === Number(id);
  const colon = id.indexOf(':');
  const prefix = Object.hasOwn(PREFIXES, id.slice(0, colon)) ? PREFIXES[id.slice(0, colon)] : undefined;
  const [match, value] =
    prefix === undefined ? [PREFIXES['container-name']!, id] : [prefix, id.slice(colon + 1)];
  return (endpoint) => value !== '' && match(endpoint, value);
}

/** All endpoints that `id` names; a container on several networks has several. */
export function selectEndpoints(endpoints: api.Endpoint[], id: string): api.Endpoint[] {
  const found = endpoints.filter(matcher(id));
  if (found.length > 0) return found;
  throw new UserError('ENDPOINT_NOT_FOUND', `no endpoint "${id}"`, {
    hint:
      'name it by number, container name, or prefix:value with one of ' + Object.keys(PREFIXES).join(', '),
  });
}

/** The one endpoint that `id` names. */
export function selectEndpoint(endpoints: api.Endpoint[], id: string): api.Endpoint {
  const found = selectEndpoints(endpoints, id);
  if (found.length > 1) throw ambiguous(found, id);
  return found[0]!;
}

/** The one identity behind `id`: the endpoints of a container on several networks share theirs. */
export function selectIdentity(endpoints: api.Endpoint[], id: string): api.IdentityRef {
  const found = selectEndpoints(endpoints, id);
  if (new Set(found.map((endpoint) => endpoint.identity.id)).size > 1) throw ambiguous(found, id);
  return found[0]!.identity;
}

function ambiguous(found: api.Endpoint[], id: string): UserError {
  const each = found.map((endpoint) => `${endpoint.id} (${endpoint.containerName} on ${endpoint.network})`);
  return new UserError('ENDPOINT_AMBIGUOUS', `"${id}" is ${each.length} endpoints`, {
    hint: `say which: ${each.join(', ')}`,
  });
}

const withoutValue = (label: string): string => label.split('=', 1)[0]!;

/** All forms in which a person may ask for the label "container:id=app1". */
function spellings(label: string): string[] {
  const bare = label.slice(label.indexOf(':') + 1);
  return [label, bare, withoutValue(label), withoutValue(bare)];
}

/** Those that carry every wanted label; a wanted label may leave out its source or its value. */
export function withLabels<T>(things: T[], labelsOf: (thing: T) => string[], wanted: string[]): T[] {
  return things.filter((thing) => {
    const known = new Set(labelsOf(thing).flatMap(spellings));
    return wanted.every((label) => known.has(label));
  });
}
