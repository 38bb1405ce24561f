/** plugin-config/config.json against the agent's settings: what Docker can set is what the agent knows. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadConfig } from './config.ts';
import { flagOf, SETTINGS, variableOf, type SettingName } from './config-settings.ts';

interface Variable {
  name: string;
  value: string;
  settable: string[];
}

const { env, interface: socket } = JSON.parse(
  readFileSync(new URL('../../plugin-config/config.json', import.meta.url), 'utf8'),
) as { env: Variable[]; interface: { socket: string } };

test('every setting of the agent is a variable of the plugin, but for the socket that Docker fixes', () => {
  const names = (Object.keys(SETTINGS) as SettingName[]).map((name) => variableOf(flagOf(name)));
  const wanted = names.filter((name) => name !== 'WEIR_PLUGIN_SOCKET');
  assert.deepEqual(env.map(({ name }) => name).toSorted(), wanted.toSorted());
});

test('as it is delivered, the agent takes every value, and its folders are the host’s', () => {
  const surroundings = {
    env: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    readFile: (): string => {
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    },
  };
  const loaded = loadConfig([], surroundings);
  assert.ok('config' in loaded);
  const { config } = loaded;
  assert.equal(config.pluginSocket, `/run/docker/plugins/${socket.socket}`);
  assert.deepEqual(
    [config.runDir, config.stateDir, config.dockerSocket],
    ['/host/run/weir', '/host/lib/weir', '/host/run/docker.sock'],
  );
});

test('what is bound to the mounts cannot be set apart from them', () => {
  const fixed = env.filter(({ settable }) => !settable.includes('value')).map(({ name }) => name);
  assert.deepEqual(fixed.toSorted(), ['WEIR_RUN_DIR', 'WEIR_STATE_DIR']);
});
