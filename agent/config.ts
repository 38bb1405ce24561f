/** The agent's configuration: flag over environment over file over default. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { parseCidr, UserError, WeirError, type api } from '../base/index.ts';
import { LabelFilter } from '../identity/index.ts';
import { parseConfigFile, type FileValue } from './config-file.ts';
import { flagOf, LATER, SETTINGS, variableOf, type Setting, type SettingName } from './config-settings.ts';
import { invalid } from './config-value.ts';
import { parseLabelPrefixFile } from './label-prefix-file.ts';

const CONFIG_FILE = '/etc/weir/weir.yaml';

/** In the state folder; its journal and lock lie beside it. */
export const STORE_FILE = 'store.json';

/** Every setting, read. `labels` holds the items of the label prefix file too. */
export type AgentConfig = { -readonly [K in SettingName]: ReturnType<(typeof SETTINGS)[K]['read']> };

export interface Surroundings {
  env: Record<string, string | undefined>;
  /** Throws as `readFileSync` does. */
  readFile(path: string): string;
}

export interface Loaded {
  config: AgentConfig;
  /** For `weir config`: what holds, and who said so. */
  settings: api.Setting[];
}

interface Found {
  text: string;
  source: api.Setting['source'];
  /** For messages: "--uplink", "WEIR_UPLINK", "/etc/weir/weir.yaml:3: uplink". */
  place: string;
}

const host: Surroundings = { env: process.env, readFile: (path) => readFileSync(path, 'utf8') };
const NAMES = Object.keys(SETTINGS) as SettingName[];
const FLAGS = [...NAMES.map(flagOf), ...Object.keys(LATER)];

function defaultOf({ fallback }: Setting<unknown>): string {
  return typeof fallback === 'string' ? fallback : fallback();
}

/** The parser of `weir agent`; its help lists what works today. */
function command(): Command {
  const parser = new Command('weir agent')
    .description('Runs the daemon of this host in the foreground, until SIGTERM or SIGINT.')
    .usage('[options]')
    .helpOption('-h, --help', 'show this help')
    .addHelpText(
      'after',
      `\nEvery option is also WEIR_<NAME> in the environment and a key of the configuration file.`,
    )
    .option('--config <path>', `configuration file (default: ${CONFIG_FILE}, if it exists)`)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const name of NAMES) {
    const { placeholder, help } = SETTINGS[name];
    const fallback = defaultOf(SETTINGS[name]);
    parser.option(
      `--${flagOf(name)} ${placeholder}`,
      fallback === '' ? help : `${help} (default: ${fallback})`,
    );
  }
  for (const [flag, { isSwitch }] of Object.entries(LATER)) {
    // A switch called no-x would make commander think of a default for x: named as an argument it stays its own.
    const option = new Option(isSwitch === undefined ? `--${flag} <value>` : `--${flag} [value]`).hideHelp();
    option.attributeName = () => flag;
    option.negate = false;
    parser.addOption(option);
  }
  return parser;
}

function parseFlags(argv: string[]): Map<string, string> | { help: string } {
  const parser = command();
  try {
    parser.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { help: parser.helpInformation() };
    throw new UserError('USAGE', error.message.replace(/^error: /, ''), {
      hint: '`weir agent --help` lists the options',
    });
  }
  const given = new Map<string, string>();
  for (const option of parser.options) {
    const value: unknown = parser.getOptionValue(option.attributeName());
    if (value !== undefined) given.set(option.long!.slice(2), String(value));
  }
  return given;
}

function readConfigFile(path: string | undefined, surroundings: Surroundings): Map<string, FileValue> {
  const file = path ?? CONFIG_FILE;
  let text: string;
  try {
    text = surroundings.readFile(file);
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw new UserError('CONFIG_INVALID', `read ${file}`, { cause: error });
  }
  return parseConfigFile(text, file, new Set(FLAGS));
}

/** Looks a flag up where it may be said, in order of precedence. */
type Lookup = (flag: string) => Found | undefined;

function lookupIn(flags: Map<string, string>, surroundings: Surroundings): Lookup {
  const { env } = surroundings;
  const file = readConfigFile(flags.get('config') ?? env['WEIR_CONFIG'], surroundings);
  return (flag) => {
    const variable = variableOf(flag);
    const given = flags.get(flag);
    if (given !== undefined) return { text: given, source: 'flag', place: `--${flag}` };
    // An empty variable is as good as none, as in systemd's environment files.
    if (env[variable]) return { text: env[variable], source: 'env', place: variable };
    const line = file.get(flag);
    return line && { text: line.text, source: 'file', place: `${line.place}: ${flag}` };
  };
}

function refuseLater(lookup: Lookup): void {
  for (const [flag, { today }] of Object.entries(LATER)) {
    const found = lookup(flag);
    if (found === undefined || found.text === today) continue;
    const hint = today === '' ? 'leave it out' : `leave it out; it is ${today} today`;
    throw new UserError('NOT_SUPPORTED_YET', `${found.place} "${found.text}" is not supported yet`, { hint });
  }
}

/** Reads a value and puts the place in front of what is wrong with it. */
function readAt<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    const options =
      error.hint === undefined ? { cause: error.cause } : { cause: error.cause, hint: error.hint };
    throw new UserError('CONFIG_INVALID', `${place}: ${error.message}`, options);
  }
}

function collect(lookup: Lookup): Loaded {
  const settings: api.Setting[] = [];
  const values = NAMES.map((name) => {
    const flag = flagOf(name);
    const found: Found = lookup(flag) ?? {
      text: defaultOf(SETTINGS[name]),
      source: 'default',
      place: `--${flag}`,
    };
    settings.push({ name: flag, value: found.text, source: found.source });
    return [name, readAt(found.place, () => SETTINGS[name].read(found.text))] as const;
  });
  return { config: Object.fromEntries(values) as AgentConfig, settings };
}

function checkTogether({ clusterCidr, nodePrefixLength, runDir }: AgentConfig): void {
  const { length } = parseCidr(clusterCidr);
  if (nodePrefixLength < length) {
    throw invalid(
      `--node-prefix-length: /${nodePrefixLength} is larger than --cluster-cidr ${clusterCidr}`,
      `write ${length} to 30`,
    );
  }
  readAt('--run-dir', () => SETTINGS.pluginSocket.read(`${runDir}/weir.sock`));
}

/**
 * Reads the configuration from the words after `weir agent`; with --help among them gives the help instead.
 * Throws UserError: USAGE, CONFIG_INVALID with the place, or NOT_SUPPORTED_YET.
 */
export function loadConfig(argv: string[], surroundings: Surroundings = host): Loaded | { help: string } {
  const flags = parseFlags(argv);
  if ('help' in flags) return flags;
  const lookup = lookupIn(flags, surroundings);
  refuseLater(lookup);
  const loaded = collect(lookup);
  checkTogether(loaded.config);
  const { labelPrefixFile: file } = loaded.config;
  if (file !== undefined) {
    const items = readAt('--label-prefix-file', () => labelItems(file, surroundings));
    loaded.config.labels = `${items} ${loaded.config.labels}`.trim();
  }
  return loaded;
}

function labelItems(file: string, surroundings: Surroundings): string {
  let text: string;
  try {
    text = surroundings.readFile(file);
  } catch (error) {
    throw new UserError('CONFIG_INVALID', `read ${file}`, { cause: error });
  }
  const items = parseLabelPrefixFile(text, file);
  LabelFilter.parse(items);
  return items;
}
