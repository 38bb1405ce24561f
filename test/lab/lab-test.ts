/** Tests that share one lab host per file: what the agent and dockerd said goes with the report of a failure. */
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { LabHost } from './host.ts';

export interface Lab {
  readonly host: LabHost;
  /** One test; prints the log of the agent and of dockerd when it fails. */
  test(title: string, body: (host: LabHost, context: TestContext) => Promise<void>): void;
}

/** Starts and prepares a host before the tests of the file and ends it after them, whatever has failed meanwhile. */
export function lab(start: () => Promise<LabHost>, prepare: (host: LabHost) => Promise<void>): Lab {
  let host: LabHost | undefined;
  before(async () => {
    host = await start();
    await prepare(host);
  });
  after(async () => {
    await host?.[Symbol.asyncDispose]();
  });
  const current = (): LabHost => {
    if (host === undefined) throw new Error('the lab host is not up');
    return host;
  };
  return {
    get host() {
      return current();
    },
    test(title, body) {
      test(title, async (context) => {
        try {
          await body(current(), context);
        } catch (error) {
          console.error(`--- agent\n${host?.agentLog()}\n--- dockerd\n${host?.dockerdLog()}\n---`);
          throw error;
        }
      });
    },
  };
}
