/** Every setting of the agent: the flag, the environment variable and the key of the file all come from this table. */
import { hostname } from 'node:os';
import { LabelFilter } from '../identity/index.ts';
import {
  address,
  cidr,
  cidr4,
  cidr6,
  directory,
  integerIn,
  interfaceName,
  listOf,
  mapSizes,
  nodeName,
  oneOf,
  optional,
  portRange,
  socketPath,
  type Reader,
} from './config-value.ts';
import { uniqueLocalPrefix } from './unique-local.ts';

/** Of every cluster until it can be given one. */
const CLUSTER_NAME = 'default';

export interface Setting<T> {
  /** How --help calls the value. */
  placeholder: string;
  help: string;
  fallback: string | (() => string);
  read: Reader<T>;
}

function setting<T>(
  placeholder: string,
  help: string,
  fallback: Setting<T>['fallback'],
  read: Reader<T>,
): Setting<T> {
  return { placeholder, help, fallback, read };
}

const labelSpec: Reader<string> = (text) => {
  LabelFilter.parse(text);
  return text;
};

/** Keys are names of the configuration; `flagOf` gives the flag. */
export const SETTINGS = {
  clusterCidr: setting('<cidr>', 'addresses of all containers', '10.210.0.0/16', cidr4),
  clusterCidr6: setting(
    '<cidr>',
    'IPv6 addresses of all containers, of which this host takes a /64',
    () => uniqueLocalPrefix(CLUSTER_NAME),
    cidr6,
  ),
  nodePrefixLength: setting(
    '<bits>',
    'size of the prefix that this host takes from --cluster-cidr',
    '24',
    integerIn(8, 30),
  ),
  nodeName: setting('<name>', 'name of this host', hostname, nodeName),
  nodeAddress: setting('<ip>', 'address of this host (default: that of the uplink)', '', optional(address)),
  uplink: setting(
    '<device>',
    'the only device towards the world (default: all with an address, that of the default route first)',
    '',
    optional(interfaceName),
  ),
  nativeCidr: setting(
    '<cidr,...>',
    'destinations outside the cluster that see container addresses',
    '',
    listOf(cidr),
  ),
  masqueradePorts: setting(
    '<first-last>',
    'source ports of translated connections',
    '61000-65535',
    portRange,
  ),
  stateDir: setting('<path>', 'what outlives a reboot', '/var/lib/weir', directory),
  runDir: setting('<path>', 'API socket and what a reboot may take', '/run/weir', directory),
  pluginSocket: setting('<path>', 'socket for dockerd', '/run/docker/plugins/weir.sock', socketPath),
  dockerSocket: setting('<path>', 'socket of dockerd', '/var/run/docker.sock', socketPath),
  bpffs: setting('<path>', 'BPF file system that holds the datapath', '/sys/fs/bpf', directory),
  bpfMapSize: setting(
    '<map=n,...>',
    'entries of the datapath\'s maps, as in "ct=131072,policy=262144"',
    '',
    mapSizes,
  ),
  scope: setting(
    '<scope>',
    "what Docker's networks are: local to this host, or global in a swarm",
    'local',
    oneOf('local', 'global'),
  ),
  policyMode: setting(
    '<mode>',
    'default, always or never enforce rules',
    'default',
    oneOf('default', 'always', 'never'),
  ),
  policyAuditMode: setting(
    '<enable|disable>',
    'whether what policy denies passes and is only told',
    'disable',
    oneOf('enable', 'disable'),
  ),
  labels: setting(
    '<spec>',
    'which container labels make the identity, as in "team app !build"',
    '',
    labelSpec,
  ),
  labelPrefixFile: setting('<path>', 'the same from a JSON file', '', optional(directory)),
  imageLabels: setting(
    '<count|ignore>',
    'whether labels that come with an image make the identity too',
    'count',
    oneOf('count', 'ignore'),
  ),
  logLevel: setting('<level>', 'debug, info, warn or error', 'info', oneOf('debug', 'info', 'warn', 'error')),
  logFormat: setting('<format>', 'text or json', 'text', oneOf('text', 'json')),
} as const;

export type SettingName = keyof typeof SETTINGS;

/** Settings of clusters and front ends to come. Accepted with the value that describes what weir does today. */
export const LATER: Record<string, { today: string; isSwitch?: true }> = {
  routing: { today: 'vxlan' },
  kvstore: { today: 'embedded' },
  etcd: { today: '' },
  join: { today: '' },
  'no-mdns': { today: 'true', isSwitch: true },
  'cluster-name': { today: CLUSTER_NAME },
  'metrics-listen': { today: '' },
  'hubble-listen': { today: '' },
  'ui-listen': { today: '' },
};

/** "clusterCidr" is "cluster-cidr" on the command line and in the file. */
export function flagOf(name: SettingName): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** "cluster-cidr" is WEIR_CLUSTER_CIDR in the environment. */
export function variableOf(flag: string): string {
  return `WEIR_${flag.replaceAll('-', '_').toUpperCase()}`;
}
