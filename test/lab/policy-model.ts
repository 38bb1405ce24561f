/**
 * A second opinion on policy, written from the documentation alone and on purpose without the project's own policy
 * code: small random rules on container labels, and the verdict a reader of the documentation would give.
 */
export type Labels = Record<string, string>;

interface Expression {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  values?: string[];
}

interface Selector {
  matchLabels?: Labels;
  matchExpressions?: Expression[];
}

interface Section {
  fromEndpoints?: Selector[];
  toEndpoints?: Selector[];
  fromEntities?: string[];
  toEntities?: string[];
  toPorts?: { ports: { port: string; endPort?: number; protocol: string }[] }[];
}

export interface ModelRule {
  endpointSelector: Selector;
  ingress?: Section[];
  ingressDeny?: Section[];
  egress?: Section[];
  egressDeny?: Section[];
}

function holds(expression: Expression, labels: Labels): boolean {
  const value = labels[expression.key];
  switch (expression.operator) {
    case 'In':
      return value !== undefined && (expression.values ?? []).includes(value);
    case 'NotIn':
      return value === undefined || !(expression.values ?? []).includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function selects(selector: Selector, labels: Labels): boolean {
  const pairs = Object.entries(selector.matchLabels ?? {});
  return (
    pairs.every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((expression) => holds(expression, labels))
  );
}

export interface Service {
  port: number;
  protocol: 'TCP' | 'UDP';
}

function covers(section: Section, peer: Labels, { port, protocol }: Service): boolean {
  const endpoints = section.fromEndpoints ?? section.toEndpoints;
  const entities = section.fromEntities ?? section.toEntities;
  if (endpoints === undefined && entities === undefined && section.toPorts === undefined) return false;
  if (endpoints !== undefined && !endpoints.some((selector) => selects(selector, peer))) return false;
  if (entities !== undefined && !entities.some((entity) => entity === 'all' || entity === 'cluster'))
    return false;
  const ports = section.toPorts?.flatMap((item) => item.ports);
  return (
    ports === undefined ||
    ports.some(
      (item) =>
        (item.protocol === protocol || item.protocol === 'ANY') &&
        port >= Number(item.port) &&
        port <= (item.endPort ?? Number(item.port)),
    )
  );
}

/** One direction of one subject towards a peer of its own network. */
function admits(
  selected: { allow?: Section[]; deny?: Section[] }[],
  peer: Labels,
  service: Service,
): boolean {
  const enforcing = selected.filter((rule) => rule.allow !== undefined || rule.deny !== undefined);
  if (enforcing.length === 0) return true;
  const hit = (sections: Section[] = []): boolean =>
    sections.some((section) => covers(section, peer, service));
  return !enforcing.some((rule) => hit(rule.deny)) && enforcing.some((rule) => hit(rule.allow));
}

/** Whether `source` may open a connection to that service of `destination` on one network; addresses make no difference. */
export function expected(rules: ModelRule[], source: Labels, destination: Labels, service: Service): boolean {
  const on = (labels: Labels): ModelRule[] => rules.filter((rule) => selects(rule.endpointSelector, labels));
  const sends = on(source).map(({ egress: allow, egressDeny: deny }) => ({
    ...(allow && { allow }),
    ...(deny && { deny }),
  }));
  const receives = on(destination).map(({ ingress: allow, ingressDeny: deny }) => ({
    ...(allow && { allow }),
    ...(deny && { deny }),
  }));
  return admits(sends, destination, service) && admits(receives, source, service);
}

/** A generator of numbers in [0, 1) that a seed repeats. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Random rules over the label values of `world` and the ports 80 and 81. */
export function randomRules(random: () => number, world: Record<string, string[]>): ModelRule[] {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const keys = Object.keys(world);
  const expression = (): Expression => {
    const key = pick(keys);
    const operator = pick(['In', 'NotIn', 'Exists', 'DoesNotExist'] as const);
    return operator === 'In' || operator === 'NotIn'
      ? { key, operator, values: [pick(world[key] ?? [])] }
      : { key, operator };
  };
  const selector = (): Selector => {
    const kind = random();
    if (kind < 0.15) return {};
    if (kind < 0.4) return { matchExpressions: [expression()] };
    const key = pick(keys);
    return { matchLabels: { [key]: pick(world[key] ?? []) } };
  };
  const ports = (): NonNullable<Section['toPorts']> => [
    {
      ports: [
        pick([
          { port: '80', protocol: 'TCP' },
          { port: '81', protocol: 'TCP' },
          { port: '70', endPort: 80, protocol: 'TCP' },
          { port: '80', protocol: 'UDP' },
          { port: '81', endPort: 90, protocol: 'ANY' },
        ]),
      ],
    },
  ];
  const section = (way: 'from' | 'to', deny: boolean): Section => {
    const kind = random();
    const withPorts = random() < 0.5 ? { toPorts: ports() } : {};
    if (kind < 0.08 && !deny) return {};
    if (kind < 0.18) return { toPorts: ports() };
    if (kind < 0.26) return { [`${way}Entities`]: [pick(['all', 'world', 'host', 'cluster'])], ...withPorts };
    return { [`${way}Endpoints`]: [selector(), ...(random() < 0.3 ? [selector()] : [])], ...withPorts };
  };
  return Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
    const [way, key] = pick([
      ['from', 'ingress'],
      ['to', 'egress'],
    ] as const);
    const deny = random() < 0.25;
    const sections = Array.from({ length: 1 + Math.floor(random() * 2) }, () => section(way, deny));
    return { endpointSelector: selector(), [deny ? `${key}Deny` : key]: sections };
  });
}
