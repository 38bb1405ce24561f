/** The `-o` options of `docker network create`. An option that weir does not know is refused, never ignored. */
import { UserError } from '../base/index.ts';

export interface NetworkOptions {
  /** `none` puts the network into the common space with all others created so. */
  isolation: 'network' | 'none';
  /** What happens to `-p`: published, or started without. */
  ports: 'publish' | 'ignore';
  mtu?: number;
}

const SMALLEST_MTU = 576;
/** The least that IPv6 works with. */
const SMALLEST_MTU6 = 1280;
const LARGEST_MTU = 65535;

function bad(name: string, value: unknown, right: string): UserError {
  return new UserError('OPTION_INVALID', `option ${name}: ${JSON.stringify(value)} is not possible`, {
    hint: right,
  });
}

function oneOf<T extends string>(name: string, value: string, choices: readonly T[]): T {
  const choice = choices.find((item) => item === value);
  if (choice === undefined)
    throw bad(name, value, `write ${choices.map((item) => `${name}=${item}`).join(' or ')}`);
  return choice;
}

function setMtu(options: NetworkOptions, value: string, name: string): void {
  const mtu = /^[1-9]\d{2,4}$/.test(value) ? Number(value) : 0;
  if (mtu < SMALLEST_MTU || mtu > LARGEST_MTU) {
    throw bad(name, value, `write a number of bytes from ${SMALLEST_MTU} to ${LARGEST_MTU}`);
  }
  if (options.mtu !== undefined && options.mtu !== mtu)
    throw bad(name, value, `the MTU is given twice, also as ${options.mtu}`);
  options.mtu = mtu;
}

type Setter = (options: NetworkOptions, value: string, name: string) => void;

const SETTERS: ReadonlyMap<string, Setter> = new Map<string, Setter>([
  ['weir.isolation', (options, value, name) => (options.isolation = oneOf(name, value, ['network', 'none']))],
  ['weir.mtu', setMtu],
  ['weir.ports', (options, value, name) => (options.ports = oneOf(name, value, ['publish', 'ignore']))],
  ['com.docker.network.driver.mtu', setMtu],
]);

/** Reads the options of a network. Throws UserError OPTION_UNKNOWN or OPTION_INVALID, naming the option. */
export function parseNetworkOptions(given: Record<string, unknown>): NetworkOptions {
  const options: NetworkOptions = { isolation: 'network', ports: 'publish' };
  for (const [name, value] of Object.entries(given)) {
    const set = SETTERS.get(name);
    if (set === undefined) {
      throw new UserError('OPTION_UNKNOWN', `unknown network option ${JSON.stringify(name)}`, {
        hint: `weir knows ${[...SETTERS.keys()].join(', ')}`,
      });
    }
    if (typeof value !== 'string') throw bad(name, value, 'write it as text');
    set(options, value, name);
  }
  return options;
}

/** Throws UserError OPTION_INVALID for an MTU with which the kernel switches IPv6 off (RFC 8200 §5). */
export function checkIpv6Mtu({ mtu }: NetworkOptions): void {
  if (mtu !== undefined && mtu < SMALLEST_MTU6)
    throw bad('weir.mtu', mtu, `write ${SMALLEST_MTU6} or more on a network with IPv6`);
}

/** What Docker leaves to the driver and a remote driver cannot do: it may name a prefix, and Docker counts up. */
const INTERFACE_NAME = 'com.docker.network.endpoint.ifname';

/** Options of one endpoint (`--network name=…,driver-opt=…`): other components' keys pass, an unknown `weir.` key does not. */
export function checkEndpointOptions(given: Record<string, unknown>): void {
  if (given[INTERFACE_NAME] !== undefined) {
    throw new UserError('OPTION_UNKNOWN', `${INTERFACE_NAME} cannot be chosen on a weir network`, {
      hint: 'leave it out: Docker counts the interfaces, eth0 first',
    });
  }
  const unknown = Object.keys(given).find((name) => name.toLowerCase().startsWith('weir.'));
  if (unknown === undefined) return;
  throw new UserError('OPTION_UNKNOWN', `unknown endpoint option ${JSON.stringify(unknown)}`, {
    hint: 'weir has no options for a single endpoint',
  });
}
