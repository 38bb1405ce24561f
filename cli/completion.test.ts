import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { runWeir } from './fake-agent.ts';

const { out: script } = await runWeir(['completion', 'bash']);

/** What bash offers for the last word. */
function offers(line: string): string[] {
  const words = line.split(' ').map((word) => `'${word}'`);
  const ask = `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _weir; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', `${script}\n${ask}`], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

for (const { line, has, lacks } of [
  { line: 'weir ', has: ['status', 'endpoint', 'policy', 'agent', 'cleanup', '--host'], lacks: ['import'] },
  { line: 'weir st', has: ['status'], lacks: ['endpoint'] },
  { line: 'weir policy ', has: ['import', 'trace', 'wait'], lacks: ['status'] },
  { line: 'weir policy import --', has: ['--replace-all', '--output', '--host', '--help'], lacks: ['--all'] },
  { line: 'weir -H /run/weir/weir.sock endpoint ', has: ['list', 'get'], lacks: ['policy'] },
  { line: 'weir bpf policy ', has: ['list', 'get'], lacks: ['ct'] },
  { line: 'weir monitor --type drop --f', has: ['--from'], lacks: ['--to'] },
]) {
  test(`bash completes "${line}"`, () => {
    const found = offers(line);
    for (const word of has) assert.ok(found.includes(word), `${word} is missing in ${found.join(' ')}`);
    for (const word of lacks) assert.ok(!found.includes(word), `${word} is offered`);
  });
}
