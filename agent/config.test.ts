import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { describeError, WeirError } from '../base/index.ts';
import { LATER, SETTINGS, flagOf, type SettingName } from './config-settings.ts';
import { loadConfig, type AgentConfig, type Loaded } from './config.ts';

interface Given {
  argv?: string[];
  env?: Record<string, string>;
  files?: Record<string, string>;
}

function load({ argv = [], env = {}, files = {} }: Given): Loaded {
  const readFile = (path: string): string => {
    const text = files[path];
    if (text === undefined)
      throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
    return text;
  };
  const loaded = loadConfig(argv, { env, readFile });
  assert.ok('config' in loaded);
  return loaded;
}

const FILE = '/etc/weir/weir.yaml';

test('the defaults are those of the contract', () => {
  const { nodeName, ...config } = load({}).config;
  assert.notEqual(nodeName, '');
  assert.deepEqual(config, {
    clusterCidr: '10.210.0.0/16',
    clusterCidr6: 'fdff:5d26:b06c::/48',
    nodePrefixLength: 24,
    nodeAddress: undefined,
    uplink: undefined,
    nativeCidr: [],
    masqueradePorts: { first: 61_000, last: 65_535 },
    bpfMapSize: {},
    stateDir: '/var/lib/weir',
    runDir: '/run/weir',
    pluginSocket: '/run/docker/plugins/weir.sock',
    dockerSocket: '/var/run/docker.sock',
    bpffs: '/sys/fs/bpf',
    scope: 'local',
    policyMode: 'default',
    policyAuditMode: 'disable',
    labels: '',
    labelPrefixFile: undefined,
    imageLabels: 'count',
    logLevel: 'info',
    logFormat: 'text',
  });
});

test('a flag beats the environment, the environment the file, the file the default', () => {
  const files = {
    [FILE]: 'log-level: debug\nuplink: eth1\nstate-dir: /a\nnative-cidr: [10.0.0.0/8, 172.16.0.0/12]\n',
  };
  const { config, settings } = load({
    argv: ['--log-level', 'error'],
    env: { WEIR_LOG_LEVEL: 'warn', WEIR_UPLINK: 'eth2' },
    files,
  });
  assert.equal(config.logLevel, 'error');
  assert.equal(config.uplink, 'eth2');
  assert.equal(config.stateDir, '/a');
  assert.deepEqual(config.nativeCidr, ['10.0.0.0/8', '172.16.0.0/12']);
  const sources = Object.fromEntries(settings.map(({ name, source }) => [name, source]));
  assert.deepEqual(
    [sources['log-level'], sources['uplink'], sources['state-dir'], sources['bpffs']],
    ['flag', 'env', 'file', 'default'],
  );
});

test('the file may lie elsewhere, and then it must be there', () => {
  const files = { '/w.yaml': 'uplink: eth7' };
  assert.equal(load({ argv: ['--config', '/w.yaml'], files }).config.uplink, 'eth7');
  assert.equal(load({ env: { WEIR_CONFIG: '/w.yaml' }, files }).config.uplink, 'eth7');
  assert.throws(() => load({ argv: ['--config', '/x.yaml'] }), {
    code: 'CONFIG_INVALID',
    message: 'read /x.yaml',
  });
});

test('an empty file and an empty variable are as good as none', () => {
  assert.equal(load({ files: { [FILE]: '# nothing\n' }, env: { WEIR_UPLINK: '' } }).config.uplink, undefined);
});

test('the label filter is the items of the file and those of the flag', () => {
  const file =
    '{"version":1,"valid-prefixes":[{"prefix":"team","source":"container"},{"prefix":"build","invert":true}]}';
  const argv = ['--labels', 'app', '--label-prefix-file', '/l.json'];
  assert.equal(load({ argv, files: { '/l.json': file } }).config.labels, 'container:team !build app');
});

const yaml = (text: string): Given => ({ files: { [FILE]: text } });

for (const { name, given, says } of [
  {
    name: 'unknown flag',
    given: { argv: ['--cluster-cdir', 'x'] },
    says: /^unknown option '--cluster-cdir'/,
  },
  {
    name: 'flag without value',
    given: { argv: ['--uplink'] },
    says: /^option '--uplink <device>' argument missing/,
  },
  { name: 'stray word', given: { argv: ['start'] }, says: /^too many arguments/ },
  {
    name: 'unknown key',
    given: yaml('log-level: info\n\nlog-levle: debug\n'),
    says: /^\/etc\/weir\/weir.yaml:3: unknown key "log-levle"/,
  },
  {
    name: 'key given twice',
    given: yaml('uplink: a\nuplink: b\n'),
    says: /^\/etc\/weir\/weir.yaml:2: Map keys must be unique/,
  },
  { name: 'broken YAML', given: yaml('a: [1\n'), says: /^\/etc\/weir\/weir.yaml:\d: / },
  { name: 'no mapping', given: yaml('- a\n'), says: /^\/etc\/weir\/weir.yaml:1: is not a mapping/ },
  {
    name: 'nested value',
    given: yaml('uplink: {a: b}\n'),
    says: /^\/etc\/weir\/weir.yaml:1: uplink must be a value/,
  },
  { name: 'no value', given: yaml('uplink:\n'), says: /^\/etc\/weir\/weir.yaml:1: uplink must be a value/ },
  {
    name: 'bad value in the file',
    given: yaml('\nlog-level: loud\n'),
    says: /^\/etc\/weir\/weir.yaml:2: log-level: "loud" is not one of debug, info/,
  },
  {
    name: 'bad value of a variable',
    given: { env: { WEIR_POLICY_MODE: 'on' } },
    says: /^WEIR_POLICY_MODE: "on" is not one of/,
  },
  {
    name: 'host bits',
    given: { argv: ['--cluster-cidr', '10.1.2.3/16'] },
    says: /^--cluster-cidr: .*host bits set \(write 10.1.0.0\/16\)$/,
  },
  {
    name: 'IPv6 as IPv4',
    given: { argv: ['--cluster-cidr', 'fd00::/48'] },
    says: /^--cluster-cidr: .*not an IPv4 prefix/,
  },
  {
    name: 'node prefix too large',
    given: { argv: ['--node-prefix-length', '12'] },
    says: /^--node-prefix-length: \/12 is larger than/,
  },
  {
    name: 'no number',
    given: { argv: ['--node-prefix-length', '0x18'] },
    says: /^--node-prefix-length: "0x18" is not a number from 8 to 30/,
  },
  {
    name: 'node name',
    given: { argv: ['--node-name', 'a b'] },
    says: /^--node-name: "a b" is not a node name/,
  },
  {
    name: 'address',
    given: { argv: ['--node-address', '10.1'] },
    says: /^--node-address: "10.1" is not an IP address/,
  },
  {
    name: 'device',
    given: { argv: ['--uplink', 'a/b'] },
    says: /^--uplink: "a\/b" is not the name of a network device/,
  },
  {
    name: 'a map that has no size of its own',
    given: { argv: ['--bpf-map-size', 'ct=1024,events=4096'] },
    says: /^--bpf-map-size: "events" is no map with a size: ct, nat, /,
  },
  {
    name: 'a size that is too small',
    given: { argv: ['--bpf-map-size', 'ct=5'] },
    says: /^--bpf-map-size: "5" is not a number from 256 to /,
  },
  {
    name: 'ports',
    given: { argv: ['--masquerade-ports', '65535-61000'] },
    says: /^--masquerade-ports: .*not a port range/,
  },
  {
    name: 'relative path',
    given: { argv: ['--state-dir', 'state'] },
    says: /^--state-dir: "state" is not an absolute path/,
  },
  {
    name: 'long socket',
    given: { argv: ['--run-dir', `/${'x'.repeat(100)}`] },
    says: /^--run-dir: .*too long for a socket/,
  },
  { name: 'label filter', given: { argv: ['--labels', '!'] }, says: /^--labels: label filter item "!"/ },
  {
    name: 'missing prefix file',
    given: { argv: ['--label-prefix-file', '/l'] },
    says: /^--label-prefix-file: read \/l: ENOENT/,
  },
  {
    name: 'prefix file of another version',
    given: { argv: ['--label-prefix-file', '/l'], files: { '/l': '{"version":2}' } },
    says: /^--label-prefix-file: \/l: version must be 1/,
  },
  {
    name: 'prefix file with an item of no prefix',
    given: {
      argv: ['--label-prefix-file', '/l'],
      files: { '/l': '{"version":1,"valid-prefixes":[{"prefix":"a"},7]}' },
    },
    says: /^--label-prefix-file: \/l: valid-prefixes\[1\]: has no prefix/,
  },
]) {
  test(`refused in one line that names the place: ${name}`, () => {
    assert.throws(
      () => load(given),
      (error: unknown) => {
        assert.ok(error instanceof WeirError);
        const line = describeError(error);
        assert.match(line, says);
        assert.match(line, /^.+$/);
        return true;
      },
    );
  });
}

for (const [flag, { today, isSwitch }] of Object.entries(LATER)) {
  test(`--${flag} is refused, unless it says what weir does today`, () => {
    const asked = isSwitch === undefined ? 'other' : 'false';
    assert.throws(() => load({ argv: [`--${flag}`, asked] }), { code: 'NOT_SUPPORTED_YET' });
    assert.throws(() => load(yaml(`${flag}: ${asked}`)), { code: 'NOT_SUPPORTED_YET' });
    if (today !== '') load({ argv: [`--${flag}`, today] });
    if (isSwitch !== undefined) load({ argv: [`--${flag}`] });
  });
}

test('help lists every setting that works and none that does not', () => {
  const loaded = loadConfig(['--uplink', 'eth0', '--help']);
  assert.ok('help' in loaded);
  for (const name of Object.keys(SETTINGS) as SettingName[])
    assert.match(loaded.help, new RegExp(`--${flagOf(name)} <`));
  for (const flag of Object.keys(LATER)) assert.doesNotMatch(loaded.help, new RegExp(`--${flag} `));
});

test('any words and any file give a configuration or one line, never anything else', () => {
  const flag = fc.constantFrom(
    ...Object.keys(SETTINGS).map((name) => flagOf(name as SettingName)),
    ...Object.keys(LATER),
  );
  const given = fc.record({
    argv: fc.array(
      fc.oneof(
        flag.map((name) => `--${name}`),
        fc.string(),
      ),
      { maxLength: 6 },
    ),
    file: fc.oneof(
      fc.string(),
      fc.tuple(flag, fc.string()).map(([key, value]) => `${key}: ${value}`),
    ),
  });
  let config: AgentConfig | undefined;
  fc.assert(
    fc.property(given, ({ argv, file }) => {
      try {
        const loaded = loadConfig(argv, { env: {}, readFile: () => file });
        if ('config' in loaded) config = loaded.config;
      } catch (error) {
        assert.ok(error instanceof WeirError, String(error));
        assert.match(describeError(error), /^.+$/su);
      }
    }),
    { numRuns: 500 },
  );
  assert.equal(typeof config?.clusterCidr, 'string');
});
