/** All endpoints of this host, in memory and as durable records. */
import { UserError } from '../base/index.ts';
import type { Records } from './contract.ts';
import { addressesOf, type Endpoint, type EndpointRecord, recordOf } from './endpoint.ts';
import { macOfAddress } from './mac.ts';
import type { EndpointRequest } from './request.ts';

const PREFIX = 'endpoints/';

export class EndpointTable {
  readonly #records: Records;
  readonly #now: () => number;
  readonly #byKey = new Map<string, Endpoint>();

  constructor(options: { records: Records; now: () => number }) {
    this.#records = options.records;
    this.#now = options.now;
  }

  async load(): Promise<void> {
    for (const { value } of await this.#records.list(PREFIX)) {
      const record = value as EndpointRecord;
      // ports came later than the first records
      this.#byKey.set(record.key, {
        ...record,
        ports: record.ports ?? [],
        labels: [],
        touchedAt: this.#now(),
      });
    }
  }

  find(key: string): Endpoint | undefined {
    return this.#byKey.get(key);
  }

  /** Throws UserError ENDPOINT_UNKNOWN. */
  get(key: string, networkId: string): Endpoint {
    const endpoint = this.known(key);
    if (endpoint.networkId === networkId) return endpoint;
    throw unknown(key);
  }

  /** Throws UserError ENDPOINT_UNKNOWN. */
  known(key: string): Endpoint {
    const endpoint = this.#byKey.get(key);
    if (endpoint === undefined) throw unknown(key);
    return endpoint;
  }

  all(): Endpoint[] {
    return [...this.#byKey.values()];
  }

  withAddress(address: string): Endpoint | undefined {
    return this.all().find((endpoint) => addressesOf(endpoint).includes(address));
  }

  /** The endpoints that a container in this sandbox uses now. */
  members(sandbox: string): Endpoint[] {
    return this.all().filter((endpoint) => endpoint.sandbox === sandbox && endpoint.state === 'joined');
  }

  /** A new endpoint, in the table but not recorded yet. Throws UserError ADDRESS_IN_USE. */
  add({ endpointId, networkId, mac, place }: EndpointRequest): Endpoint {
    const addresses = addressesOf(place);
    for (const address of addresses) this.#refuseSharing(address);
    const endpoint: Endpoint = {
      key: endpointId,
      networkId,
      ...place,
      mac: mac ?? macOfAddress(addresses[0] ?? ''),
      state: 'created',
      touchedAt: this.#now(),
      routes: [],
      ports: [],
      labels: [],
    };
    this.#byKey.set(endpointId, endpoint);
    return endpoint;
  }

  touch(endpoint: Endpoint, state: Endpoint['state']): void {
    endpoint.state = state;
    endpoint.touchedAt = this.#now();
  }

  /** Milliseconds since Docker last did something with it. */
  restedMs(endpoint: Endpoint): number {
    return this.#now() - endpoint.touchedAt;
  }

  persist(endpoint: Endpoint): Promise<unknown> {
    return this.#records.put(PREFIX + endpoint.key, recordOf(endpoint));
  }

  async forget(endpoint: Endpoint): Promise<void> {
    await this.#records.delete(PREFIX + endpoint.key);
    this.#byKey.delete(endpoint.key);
  }

  #refuseSharing(address: string): void {
    const other = this.withAddress(address);
    if (other === undefined) return;
    const whose =
      other.container === undefined
        ? `endpoint ${other.key.slice(0, 12)}`
        : `container ${other.container.name}`;
    throw new UserError('ADDRESS_IN_USE', `address ${address} is in use by ${whose}`, {
      hint: 'choose another one, or none',
    });
  }
}

function unknown(key: string): UserError {
  return new UserError('ENDPOINT_UNKNOWN', `endpoint ${key.slice(0, 12)} is not known to weir`, {
    hint: 'start the container again',
  });
}
