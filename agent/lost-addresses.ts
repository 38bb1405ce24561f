/** After a start: frees what IPAM gave out before and nobody has any more, as after a crash between two calls of Docker. */
import { describeError } from '../base/index.ts';
import type { Log } from '../base/index.ts';
import { withinMs } from '../driver/index.ts';
import type { DockerClient, Endpoints } from '../driver/index.ts';
import type { Ipam } from '../ipam/index.ts';

/** Docker repeats a call that the restart cut off for some 15 s; until then its address is nobody's and yet in use. */
const GRACE_MS = 20_000;
const RETRY_MS = 5_000;
const REQUEST_MS = 10_000;

export interface LostAddressesOptions {
  docker: Pick<DockerClient, 'census'>;
  ipam: Pick<Ipam, 'reconcile'>;
  endpoints: Pick<Endpoints, 'list'>;
  log: Log;
}

export class LostAddresses {
  readonly #options: LostAddressesOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LostAddressesOptions) {
    this.#options = options;
  }

  /** Looks once Docker's retries are over, and again until Docker answers. */
  start(delayMs = GRACE_MS): void {
    this.#timer = setTimeout(() => void this.#look(), delayMs);
  }

  stop(): void {
    this.#stopping.abort();
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { docker, ipam, endpoints, log } = this.#options;
    try {
      const ask = (signal: AbortSignal): ReturnType<typeof docker.census> => docker.census(signal);
      const { subnets, addresses } = await withinMs(REQUEST_MS, ask, this.#stopping.signal);
      const own = endpoints.list().flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter(Boolean));
      const freed = await ipam.reconcile({ subnets, addresses: [...addresses, ...own] });
      if (freed.addresses.length + freed.subnets.length > 0)
        log.info('freed what nobody has any more', freed);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      log.debug('cannot count addresses', { reason: describeError(error) });
      this.start(RETRY_MS);
    }
  }
}
