/** Every map of the datapath with its codec. One noun, four places: lib/policy.h, weir_policy, `policy` here, its packet tests. */
import { addressBytes, addressFromBytes } from '../base/index.ts';
import { possibleCpus } from '../kernel/index.ts';
import type { BpfObject } from '../kernel/index.ts';
import { TypedMap } from './typed-map.ts';
import type { Codec } from './typed-map.ts';
import * as layout from './layout.gen.ts';

/** Map names; each is pinned under this name. */
export const MAPS = [
  ...['weir_config', 'weir_device', 'weir_endpoint', 'weir_ipcache', 'weir_policy', 'weir_ct', 'weir_nat'],
  ...['weir_fragment', 'weir_uplink', 'weir_epoch', 'weir_metrics', 'weir_events', 'weir_service'],
] as const;

/** Maps whose size an administrator may choose, by the name without "weir_". */
export const SIZABLE = [
  'ct',
  'nat',
  'policy',
  'ipcache',
  'endpoint',
  'device',
  'service',
  'fragment',
] as const;
export type SizableMap = (typeof SIZABLE)[number];

const number32: Codec<number> = {
  size: 4,
  encode(value) {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(value);
    return bytes;
  },
  decode: (bytes) => bytes.readUInt32LE(0),
};

function codec<T>(size: number, encode: (value: T) => Buffer, decode: (bytes: Buffer) => T): Codec<T> {
  return { size, encode: (value) => encode(value), decode: (bytes) => decode(bytes) };
}

/** Sums the copies of all CPUs. */
function decodeMetric(bytes: Buffer): layout.Metric {
  const sum = { packets: 0n, bytes: 0n };
  for (let cpu = 0; cpu < possibleCpus(); cpu++) {
    const part = layout.decodeMetric(bytes, cpu * layout.metricSize);
    sum.packets += part.packets;
    sum.bytes += part.bytes;
  }
  return sum;
}

const address: Codec<string> = codec(16, addressBytes, addressFromBytes);

function encodeMetric(): Buffer {
  return Buffer.alloc(layout.metricSize * possibleCpus());
}

/** The maps of a loaded object; closed with it. */
export function openMaps(object: BpfObject) {
  const typed = <K, V>(
    name: (typeof MAPS)[number],
    ...rest: [Codec<K>, Codec<V>, (() => void)?]
  ): TypedMap<K, V> => new TypedMap(object.map(name), ...rest);
  const l = layout;
  const epoch = typed('weir_epoch', number32, number32);
  // what the datapath remembers of endpoints holds until they change
  const forget = (): void => epoch.set(0, ((epoch.get(0) ?? 0) + 1) >>> 0);
  return {
    config: typed('weir_config', number32, codec(l.configSize, l.encodeConfig, l.decodeConfig)),
    device: typed('weir_device', number32, codec(l.deviceSize, l.encodeDevice, l.decodeDevice), forget),
    endpoint: typed(
      'weir_endpoint',
      address,
      codec(l.endpointSize, l.encodeEndpoint, l.decodeEndpoint),
      forget,
    ),
    ipcache: typed(
      'weir_ipcache',
      codec(l.ipcacheKeySize, l.encodeIpcacheKey, l.decodeIpcacheKey),
      codec(l.ipcacheEntrySize, l.encodeIpcacheEntry, l.decodeIpcacheEntry),
    ),
    policy: typed(
      'weir_policy',
      codec(l.policyKeySize, l.encodePolicyKey, l.decodePolicyKey),
      codec(l.policyEntrySize, l.encodePolicyEntry, l.decodePolicyEntry),
    ),
    ct: typed(
      'weir_ct',
      codec(l.ctKeySize, l.encodeCtKey, l.decodeCtKey),
      codec(l.ctEntrySize, l.encodeCtEntry, l.decodeCtEntry),
    ),
    nat: typed(
      'weir_nat',
      codec(l.natKeySize, l.encodeNatKey, l.decodeNatKey),
      codec(l.natEntrySize, l.encodeNatEntry, l.decodeNatEntry),
    ),
    fragment: typed(
      'weir_fragment',
      codec(l.fragmentKeySize, l.encodeFragmentKey, l.decodeFragmentKey),
      codec(l.fragmentEntrySize, l.encodeFragmentEntry, l.decodeFragmentEntry),
    ),
    service: typed(
      'weir_service',
      codec(l.serviceKeySize, l.encodeServiceKey, l.decodeServiceKey),
      codec(l.serviceSize, l.encodeService, l.decodeService),
    ),
    uplink: typed('weir_uplink', number32, codec(l.uplinkSize, l.encodeUplink, l.decodeUplink)),
    metrics: typed('weir_metrics', number32, codec<layout.Metric>(l.metricSize, encodeMetric, decodeMetric)),
    events: object.map('weir_events'),
  };
}

export type Maps = ReturnType<typeof openMaps>;
