/** The agent's API as a test outside of the host sees it: quicker than a CLI process for each question. */
import { request } from 'node:http';
import type { api } from '../../base/index.ts';
import type { LabHost } from './host.ts';
import { until } from './run.ts';

/** Asks the agent of that host; the caller names the shape of the answer. Rejects on anything but 200. */
export function ask<T>(host: LabHost, path: string, body?: unknown, method?: string): Promise<T> {
  const socketPath = `/proc/${host.machine.pid}/root/run/weir/weir.sock`;
  const headers = { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath, path, headers, method: method ?? (body === undefined ? 'GET' : 'POST') },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => {
          if (answer.statusCode === 200) resolve(JSON.parse(text) as T);
          else reject(new Error(`${path}: ${answer.statusCode}: ${text}`));
        });
      },
    );
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Makes these rules the whole policy and waits until they are enforced. */
export async function setPolicy(host: LabHost, rules: unknown[]): Promise<number> {
  if (rules.length === 0) {
    return (await ask<{ revision: number }>(host, '/v1/policy?all=true', undefined, 'DELETE')).revision;
  }
  const files = [{ name: 'test.json', text: JSON.stringify(rules) }];
  const { revision } = await ask<{ revision: number }>(
    host,
    '/v1/policy',
    { files, replaceAll: true },
    'PUT',
  );
  await ask(host, `/v1/policy/wait?revision=${revision}&timeoutMs=10000`);
  return revision;
}

/** Where Docker was too busy to say within Join's 200 ms whose an endpoint is, its labels come a moment later. */
export async function identified(host: LabHost): Promise<void> {
  await until('every endpoint has its labels', async () => {
    const endpoints = await ask<api.Endpoint[]>(host, '/v1/endpoints');
    return endpoints.every(({ state }) => state !== 'waiting-for-identity');
  });
}
