/** Scenes: tests that share a host, each with networks and containers of its own that go at its end. */
import assert from 'node:assert/strict';
import type { api } from '../../base/index.ts';
import { ask } from './api.ts';
import { importLabImage, remove } from './cast.ts';
import { DRIVERS } from './driver.ts';
import { LabHost } from './host.ts';
import { lab } from './lab-test.ts';
import type { Result } from './run.ts';

type Scene = (title: string, names: string[], body: (host: LabHost) => Promise<void>) => void;

/** Creates a network of weir's driver and IPAM. */
export async function create(host: LabHost, name: string, ...flags: string[]): Promise<void> {
  await host.docker('network', 'create', ...DRIVERS, ...flags, name);
}

/** A host with an agent; each scene names the networks it makes. Nothing may be left of it, also where it failed. */
export function stage(name: string): Scene {
  const host = lab(
    () => LabHost.start({ name }),
    async (started) => {
      await importLabImage(started);
      await started.agent();
    },
  );
  return (title, names, body) =>
    host.test(title, async (running) => {
      try {
        await body(running);
      } finally {
        await remove(running);
        await running.attemptDocker('network', 'rm', ...names);
      }
      assert.deepEqual(await ask<api.Endpoint[]>(running, '/v1/endpoints'), []);
      assert.deepEqual(await ask<api.Network[]>(running, '/v1/networks'), []);
    });
}

/** The command failed, and one line of what it says has all of that. */
export function refused({ code, stderr }: Result, right: RegExp): void {
  assert.notEqual(code, 0, `was not refused: ${right.source}`);
  assert.equal(stderr.split('\n').filter((line) => right.test(line)).length, 1, stderr);
}
