/** A test for each command line: what it prints of what the agent answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answers, fakeAgent } from './fake-agent.ts';

/** Line for line, below the first line break of `out`. */
export function prints(answers: Answers, cases: { line: string; code?: number; out: string }[]): void {
  for (const { line, code = 0, out } of cases) {
    test(`weir ${line}`, async () => {
      await using agent = await fakeAgent(answers);
      assert.deepEqual(await agent.weir(line), { code, out: `${out.slice(1)}\n`, err: '' });
    });
  }
}

/** With -o json it is the agent's answer as it came. */
export function printsJson(answers: Answers, cases: { line: string; want: unknown }[]): void {
  for (const { line, want } of cases) {
    test(`weir ${line} -o json is the API's shape`, async () => {
      await using agent = await fakeAgent(answers);
      const { code, out, err } = await agent.weir(`${line} -o json`);
      assert.deepEqual({ code, value: JSON.parse(out) as unknown, err }, { code: 0, value: want, err: '' });
    });
  }
}
