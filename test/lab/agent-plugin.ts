/** The agent as a managed plugin of a lab host's dockerd, in the place of a process beside it. */
import { isDeepStrictEqual } from 'node:util';
import { PLUGIN, PLUGIN_FOLDER } from './driver.ts';
import type { LabHost } from './host.ts';
import {
  createPlugin,
  disablePlugin,
  enablePlugin,
  pidOfPlugin,
  pluginAnswers,
  setPlugin,
} from './managed-plugin.ts';
import { until } from './run.ts';

/** `--image-labels ignore` is `WEIR_IMAGE_LABELS=ignore`. */
function settingsOf(flags: string[]): string[] {
  const variable = (flag: string): string => `WEIR_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
  return flags.flatMap((flag, at) => (flag.startsWith('--') ? [`${variable(flag)}=${flags[at + 1]}`] : []));
}

export class AgentPlugin {
  readonly #host: LabHost;
  #settings: string[] | undefined;
  #pid = 0;

  constructor(host: LabHost) {
    this.#host = host;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Installs it at the first call, and anew for other flags; else waits for the one that dockerd starts by itself. */
  async start(flags: string[]): Promise<this> {
    const settings = settingsOf(flags);
    if (!isDeepStrictEqual(settings, this.#settings)) await this.#install(settings);
    await pluginAnswers(this.#host);
    this.#pid = (await pidOfPlugin(this.#host)) ?? 0;
    return this;
  }

  async #install(settings: string[]): Promise<void> {
    if (this.#settings !== undefined) {
      await pluginAnswers(this.#host); // dockerd does not disable well what it is just starting
      await disablePlugin(this.#host);
      await this.#host.docker('plugin', 'rm', '-f', PLUGIN);
    }
    await createPlugin(this.#host, PLUGIN_FOLDER);
    if (settings.length > 0) await setPlugin(this.#host, ...settings);
    await enablePlugin(this.#host);
    this.#settings = settings;
  }

  /** SIGKILL; resolves when that process is gone. dockerd starts another one at once. */
  async kill(): Promise<void> {
    const pid = await until('the plugin runs', () => pidOfPlugin(this.#host));
    process.kill(pid, 'SIGKILL');
    await until('the plugin is gone', async () => (await pidOfPlugin(this.#host)) !== pid);
  }

  /** dockerd writes what a plugin says into its own log. */
  tail(lines = 60): string {
    const said = this.#host.dockerdLog(Infinity).split('\n');
    return said
      .filter((line) => line.includes(' plugin='))
      .slice(-lines)
      .join('\n');
  }
}
