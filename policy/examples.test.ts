import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { compile } from './compile.ts';
import type { PolicyContext } from './isolation.ts';
import { parsePolicy } from './parse.ts';
import { type TracePort, trace } from './trace.ts';

const FOLDER = new URL('../../examples/', import.meta.url);
const FILES = readdirSync(new URL('policies/', FOLDER)).filter((name) => !name.endsWith('.md'));
const SPACES: Record<string, number> = { shop: 2, ops: 3, monitoring: 4 };
const CONTEXT: PolicyContext = { mode: 'default', spaceOf: (network) => SPACES[network] ?? 0 };

function read(name: string): ReturnType<typeof parsePolicy> {
  return parsePolicy(readFileSync(new URL(name, FOLDER), 'utf8'), name);
}

/** `from > to port/protocol: verdict`; labels are separated by commas, and nothing said is no label. */
const VERDICTS: Record<string, string[]> = {
  'labels.json': [
    'role=frontend > role=backend 80/TCP: allowed',
    'role=backend > role=backend 80/TCP: denied',
    'role=backend > role=frontend 80/TCP: allowed',
  ],
  'ports.json': [
    'id=x > role=gateway 443/TCP: allowed',
    'id=x > role=gateway 20000/UDP: denied',
    'role=phone > role=gateway 20000/UDP: allowed',
    'role=phone > role=gateway 3868/SCTP: allowed',
    'role=phone > role=gateway 3868/TCP: denied',
    'role=gateway > reserved:world 53/UDP: allowed',
    'role=gateway > reserved:world 443/TCP: denied',
  ],
  'deny-all.json': ['role=vault > id=x 80/TCP: denied', 'reserved:host > role=vault 80/TCP: denied'],
  'own-network.yaml': [
    'id=x > id=y 80/TCP: allowed',
    'id=x,weir:network=shop > id=y,weir:network=ops 80/TCP: denied',
    'id=x > reserved:host 80/TCP: denied',
    'id=x > reserved:world 80/TCP: denied',
  ],
  'other-network.yaml': [
    'app=collector,weir:network=monitoring > id=y,weir:network=shop 9100/TCP: allowed',
    'app=collector,weir:network=monitoring > id=y,weir:network=shop 80/TCP: denied',
    'app=other,weir:network=monitoring > id=y,weir:network=shop 9100/TCP: denied',
    'id=x > id=y 80/TCP: allowed',
  ],
  'expressions.yaml': [
    'owner=me,tier=front > tier=api 80/TCP: allowed',
    'tier=front > tier=api 80/TCP: denied',
    'owner=me,tier=db > tier=api 80/TCP: denied',
    'owner=me,tier=db > tier=api,debug=1 80/TCP: allowed',
  ],
  'requires.json': [
    'role=frontend,env=prod > role=backend,env=prod 80/TCP: allowed',
    'role=frontend,env=dev > role=backend,env=prod 80/TCP: denied',
    'role=frontend,env=dev > role=backend,env=dev 80/TCP: allowed',
    'role=frontend,env=prod > role=backend,env=dev 80/TCP: denied',
    'env=prod > env=prod 80/TCP: denied',
  ],
  'addresses.yaml': [
    'cidr:192.0.2.7 > role=worker 80/TCP: allowed',
    'cidr:192.0.2.8 > role=worker 80/TCP: denied',
    'cidr:203.0.113.5 > role=worker 80/TCP: allowed',
    'cidr:203.0.113.200 > role=worker 80/TCP: denied',
    'cidr:2001:db8:1::5 > role=worker 80/TCP: allowed',
    'role=worker > cidr:10.1.2.3 443/TCP: allowed',
    'role=worker > cidr:10.96.0.1 443/TCP: denied',
    'role=worker > cidr:2001:db8:9::1 443/TCP: allowed',
    'role=worker > cidr:198.51.100.53 9/UDP: allowed',
    'role=worker > id=x 443/TCP: denied',
  ],
  'entities.yaml': [
    'reserved:world > role=proxy 80/TCP: allowed',
    'reserved:world > role=proxy 22/TCP: denied',
    'reserved:host > role=proxy 22/TCP: allowed',
    'id=x > role=proxy 80/TCP: denied',
    'role=proxy,weir:network=shop > id=x,weir:network=shop 9/UDP: allowed',
    'role=proxy > cidr:2001:db8::1 443/TCP: allowed',
    'role=proxy > reserved:world 80/TCP: denied',
  ],
  'init.yaml': [
    'reserved:init > reserved:host 53/UDP: allowed',
    'reserved:init > reserved:host 80/TCP: denied',
    'reserved:init > reserved:world 53/UDP: denied',
  ],
  'block-metadata.yaml': [
    'id=x > cidr:169.254.169.254 80/TCP: denied',
    'id=x > cidr:fd00:ec2::254 80/TCP: denied',
    'id=x > cidr:203.0.113.1 80/TCP: allowed',
    'id=x > id=y 80/TCP: allowed',
  ],
  'no-mail.yaml': [
    'role=app > reserved:world 25/TCP: denied',
    'role=app > reserved:world 443/TCP: allowed',
    'trust=guest > role=app 22/TCP: denied',
    'trust=guest > role=app 80/TCP: allowed',
    'role=app > trust=guest 25/TCP: allowed',
  ],
  'ping.yaml': [
    'id=x > role=router 8/ICMP: allowed',
    'id=x > role=router 128/ICMPv6: allowed',
    'id=x > role=router 13/ICMP: denied',
    'role=monitor > role=router 13/ICMP: allowed',
    'id=x > role=router 8/TCP: denied',
  ],
  'cilium-network-policy.yaml': [
    'app=web,weir:network=shop > app=api,weir:network=shop 8080/TCP: allowed',
    'app=web,weir:network=shop > app=api,weir:network=shop 80/TCP: denied',
    'app=web,weir:network=shop > app=db,weir:network=shop 80/TCP: denied',
    'app=console,weir:network=ops > app=api,weir:network=shop 8080/TCP: allowed',
    'app=console,weir:network=shop > app=api,weir:network=shop 8080/TCP: denied',
    'app=web,weir:network=ops > app=api,weir:network=ops 80/TCP: allowed',
  ],
  'network-policy.yaml': [
    'app=web,weir:network=shop > app=db,weir:network=shop 5432/TCP: allowed',
    'app=web,weir:network=shop > app=db,weir:network=shop 5432/UDP: denied',
    'app=backup,weir:network=ops > app=db,weir:network=shop 5432/TCP: allowed',
    'app=other,weir:network=ops > app=db,weir:network=shop 5432/TCP: denied',
    'app=db,weir:network=shop > cidr:10.2.0.1 9/UDP: allowed',
    'app=db,weir:network=shop > cidr:10.1.0.1 9/UDP: denied',
    'app=db,weir:network=shop > app=web,weir:network=shop 80/TCP: denied',
    'reserved:world > app=web,weir:network=shop 8050/TCP: allowed',
    'reserved:world > app=web,weir:network=shop 8100/TCP: denied',
    'reserved:world > app=lobby,weir:network=shop 22/TCP: allowed',
    'id=x,weir:network=shop > id=y,weir:network=shop 80/TCP: denied',
    'id=x,weir:network=ops > id=y,weir:network=ops 80/TCP: allowed',
  ],
  'compose.yaml': [
    'com.docker.compose.service=web,com.docker.compose.project=shop > com.docker.compose.service=db,com.docker.compose.project=shop 5432/TCP: allowed',
    'id=x > com.docker.compose.service=db,com.docker.compose.project=shop 5432/TCP: denied',
    'id=x > com.docker.compose.service=db,com.docker.compose.project=other 5432/TCP: allowed',
    'reserved:world > com.docker.compose.service=web,com.docker.compose.project=shop 80/TCP: allowed',
    'com.docker.compose.project=shop > cidr:169.254.169.254 80/TCP: denied',
  ],
};

for (const name of FILES) {
  test(`example ${name} is read without loss and says what it promises`, () => {
    const rules = read(`policies/${name}`);
    assert.deepEqual(parsePolicy(JSON.stringify(rules), name), rules);
    const policy = compile(rules);
    const cases = VERDICTS[name] ?? [];
    assert.ok(cases.length > 1, 'no verdicts');
    for (const line of cases) {
      const [, source, destination, port, protocol, verdict] =
        /^(\S+) > (\S+) (\d+)\/(\w+): (\w+)$/.exec(line) ?? [];
      const dports = [{ port: Number(port), protocol: protocol as TracePort['protocol'] }];
      const query = { source: source?.split(',') ?? [], destination: destination?.split(',') ?? [], dports };
      const found = trace(policy, query, CONTEXT);
      assert.equal(found.verdict, verdict, `${line}\n${found.lines.join('\n')}`);
    }
  });
}

test('every verdict is of a file, and the list of examples names every file', () => {
  assert.deepEqual(Object.keys(VERDICTS).toSorted(), FILES.toSorted());
  const list = readFileSync(new URL('policies/README.md', FOLDER), 'utf8');
  for (const name of FILES) assert.ok(list.includes(`[${name}](${name})`), name);
});

test('the examples show every field that a rule may have', () => {
  const text = FILES.map((name) => JSON.stringify(read(`policies/${name}`))).join('\n');
  const fields = [
    ...['labels', 'description', 'log', 'endpointSelector', 'matchLabels', 'matchExpressions'],
    ...['ingress', 'egress', 'ingressDeny', 'egressDeny', 'enableDefaultDeny'],
    ...['fromEndpoints', 'fromRequires', 'fromCIDR', 'fromCIDRSet', 'fromEntities'],
    ...['toEndpoints', 'toRequires', 'toCIDR', 'toCIDRSet', 'toEntities'],
    ...['toPorts', 'endPort', 'icmps', 'except'],
  ];
  assert.deepEqual(
    fields.filter((field) => !text.includes(`"${field}":`)),
    [],
  );
});

test('the other examples are policies too', () => {
  assert.equal(read('compose/policy.json').length, 3);
  assert.equal(read('l3_l4_policy.json').length, 1);
});
