/**
 * Recorded plugin traffic of real dockerd versions, one file a scenario, in the order of time.
 * Kept are the requests, the recorder's answers to RequestPool and RequestAddress (so that a replay can map its own pool
 * ids and addresses onto them), the command lines, and the marks where dockerd stopped or came up.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const DOCKER_VERSIONS = ['20.10.24', '28.5.2'] as const;
export type DockerVersion = (typeof DOCKER_VERSIONS)[number];

/** One call of dockerd; `raw` is the body as it was sent, "" where it was empty. `n` pairs it with its answer. */
export interface RecordedRequest {
  kind: 'request';
  method: string;
  n: number;
  plugin: string;
  raw: string;
  body: Record<string, unknown> | undefined;
}

/** The recorder's own answer to RequestPool or RequestAddress; later requests speak of its ids and addresses. */
export interface RecordedAnswer {
  kind: 'answer';
  n: number;
  plugin: string;
  body: unknown;
}

/** A command line, a mark of the daemon's life, or (once, first) how the recorder was told to misbehave. */
export type RecordedNote =
  { kind: 'command' | 'mark'; text: string } | { kind: 'settings'; settings: Record<string, unknown> };

export type RecordedLine = RecordedRequest | RecordedAnswer | RecordedNote;

export interface Scenario {
  version: DockerVersion;
  name: string;
  lines: RecordedLine[];
}

// dist/test/api → the checkout
const ROOT = fileURLToPath(new URL('../../../test/api/traces/', import.meta.url));

function parseLine(text: string): RecordedLine {
  const line = JSON.parse(text) as Record<string, unknown>;
  const plugin = String(line['plugin'] ?? 'stub');
  if (typeof line['req'] === 'string') {
    const body = line['body'] as Record<string, unknown> | undefined;
    const raw = body === undefined ? '' : `${JSON.stringify(body)}\n`;
    return { kind: 'request', method: line['req'], n: Number(line['n']), plugin, raw, body };
  }
  if ('res' in line) return { kind: 'answer', n: Number(line['res']), plugin, body: line['body'] };
  if ('cli' in line) return { kind: 'command', text: String(line['cli']) };
  if ('mark' in line) return { kind: 'mark', text: String(line['mark']) };
  return { kind: 'settings', settings: line['scenario'] as Record<string, unknown> };
}

/** All scenarios of one dockerd, by name; `select` narrows them by name. */
export function loadScenarios(version: DockerVersion, select: RegExp = /./): Scenario[] {
  const files = readdirSync(`${ROOT}${version}`).filter(
    (file) => file.endsWith('.jsonl') && select.test(file),
  );
  return files.toSorted().map((file) => {
    const text = readFileSync(`${ROOT}${version}/${file}`, 'utf8');
    const lines = text
      .split('\n')
      .filter((line) => line !== '')
      .map(parseLine);
    return { version, name: file.replace('.jsonl', ''), lines };
  });
}
