/** What is said of policy texts that are wrong, and texts to be wrong with. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../base/index.ts';
import { parsePolicy } from './parse.ts';

export interface Refusal {
  name: string;
  text: string;
  /** A part of the one line. */
  says: string;
}

/** A rule with one ingress item, or with other sections. */
export function rule(item: object, sections: object = {}): string {
  return JSON.stringify([{ endpointSelector: {}, ingress: [item], ...sections }]);
}

/** A test for each text; `where` tells them apart in their names. */
export function refuses(cases: Refusal[], where = ''): void {
  for (const { name, text, says } of cases) {
    test(`refused${where}, with the place and advice: ${name}`, () => {
      assert.throws(
        () => parsePolicy(text, 'f'),
        (error) => {
          assert.ok(error instanceof UserError && error.code === 'POLICY_INVALID');
          assert.match(error.message, /^f:\d+:\d+: \$/);
          assert.ok(error.message.includes(says), error.message);
          return true;
        },
      );
    });
  }
}

/** The text is rules, or refused in one line with the place and advice. */
export function survives(text: string): void {
  try {
    parsePolicy(text, 'f');
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, /^f:\d+:\d+: \$[^\n\r]*; [^\n\r]+$/);
  }
}

/** A JSON text with junk in the place of something in it, before it and behind it, and without it. */
export function spoil(text: string, junk: unknown, at: number): string[] {
  const spots = [...text.matchAll(/"[^"]*"|\[|\{/g)];
  const spot = spots[at % spots.length];
  assert.ok(spot, 'a text has a place');
  const json = JSON.stringify(junk);
  const [before, after] = [text.slice(0, spot.index), text.slice(spot.index + spot[0].length)];
  return [json, `${json},`, `${spot[0]}${json},`, ''].map((instead) => `${before}${instead}${after}`);
}
