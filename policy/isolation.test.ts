import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { compile } from './compile.ts';
import { type PolicyContext, type PolicyMode, sameNetwork, spacesOf } from './isolation.ts';
import { parsePolicy } from './parse.ts';
import { trace } from './trace.ts';

const DOCUMENT = readFileSync(new URL('../../docs/isolation.md', import.meta.url), 'utf8');
const SPACES: Record<string, number> = { front: 2, back: 3, open1: 1, open2: 1 };
const spaceOf: PolicyContext['spaceOf'] = (network) => SPACES[network] ?? 0;

interface Row {
  from: string;
  to: string;
  rules: string[];
  mode: PolicyMode;
  verdict: string;
}

function readRows(): Row[] {
  const table = DOCUMENT.split('## Truth table')[1]?.split('\n## ')[0] ?? '';
  const lines = table.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) => {
    const [from = '', to = '', rules = '', mode = '', verdict = ''] = line
      .split('|')
      .slice(1)
      .map((cell) => cell.trim());
    return {
      from,
      to,
      rules: rules.split(', ').filter((name) => name !== ''),
      mode: mode as PolicyMode,
      verdict,
    };
  });
}

function readRules(): Map<string, unknown> {
  const json = /```json\n([^]*?)```/.exec(DOCUMENT)?.[1] ?? '{}';
  return new Map(Object.entries(JSON.parse(json) as object));
}

/** The labels of a cell: networks of a container, an address, or a name of those outside. */
function labelsOf(cell: string, id: string): string[] {
  const name = cell.replace(/ \((internal|published)\)/, '');
  if (/^\d/.test(name)) return [`cidr:${name}`];
  if (['host', 'world', 'init', 'unmanaged'].includes(name)) return [`reserved:${name}`];
  const networks = name.split(', ');
  for (const network of networks) assert.ok(network in SPACES, `unknown network ${network}`);
  return [`id=${id}`, ...networks.map((network) => `weir:network=${network}`)];
}

const rows = readRows();
const rules = readRules();

for (const row of rows) {
  test(`${row.from} → ${row.to} with [${row.rules.join(', ')}], mode ${row.mode}: ${row.verdict}`, () => {
    for (const name of row.rules) assert.ok(rules.has(name), `the document has no rule ${name}`);
    const chosen = row.rules.map((name) => rules.get(name));
    const policy = compile(parsePolicy(JSON.stringify(chosen), 'docs/isolation.md'));
    const result = trace(
      policy,
      {
        source: labelsOf(row.from, 'from'),
        destination: labelsOf(row.to, 'to'),
        dports: [{ port: 80, protocol: 'TCP' }],
        sourceNoWorld: row.from.endsWith(' (internal)'),
        publishedPorts: row.to.endsWith(' (published)') ? [{ port: 80, protocol: 'TCP' }] : [],
      },
      { mode: row.mode, spaceOf },
    );
    assert.equal(result.verdict, row.verdict, result.lines.join('\n'));
  });
}

test('the table is read whole, and every rule of the document is used in it', () => {
  assert.ok(rows.length > 60, `${rows.length} rows`);
  assert.deepEqual(
    [...rules.keys()].filter((name) => !rows.some((row) => row.rules.includes(name))),
    [],
  );
});

test('networks nobody knows make nobody near', () => {
  const peer = { id: 256, labels: ['weir:network=gone'] };
  const context: PolicyContext = { mode: 'default', spaceOf };
  assert.deepEqual(spacesOf(peer, context), []);
  assert.equal(sameNetwork(peer, peer, context), false);
});
