/** What this kernel can do, found by asking it, with the release that brought each feature. */
import { existsSync } from 'node:fs';
import { BpfMap, MAP_FLAG, MAP_TYPE } from './bpf-map.ts';
import { ENOTSUPP, ERRNO, errnoName, KernelError } from './failure.ts';
import { libbpf } from './libbpf.ts';

export interface Probe {
  name: string;
  present: boolean;
  /** weir cannot do without. */
  required: boolean;
  /** False where the answer was neither yes nor no, for want of rights or memory; `present` is false then. */
  conclusive: boolean;
  /** Release of Linux that brought it. */
  since: string;
  /** What weir uses it for, and the kernel's answer where it was not a plain yes or no. */
  detail: string;
}

interface Feature {
  name: string;
  since: string;
  use: string;
  optional?: true;
  /** 1 yes, 0 no, negative errno: undecided. Throws KernelError for undecided too. */
  ask(): number;
}

const SCHED_CLS = 3; // BPF_PROG_TYPE_SCHED_CLS
const HELPER = { fibLookup: 69, redirectNeigh: 152, redirectPeer: 155 } as const;
const TCX_INGRESS = 46;
const LOOPBACK = 1;

/** Refusals that mean "never heard of it", as opposed to "not now" and "not you". */
const NEVER_HEARD: readonly string[] = ['EINVAL', 'EOPNOTSUPP', 'ENOTSUPP', 'ENOSYS'];

function helper(number: number): () => number {
  return () => libbpf().libbpf_probe_bpf_helper(SCHED_CLS, number, null);
}

function askMap(
  type: number,
  sizes: { key: number; value: number; max: number },
  then?: (map: BpfMap) => number,
): number {
  const flags = type === MAP_TYPE.lpmTrie ? MAP_FLAG.noPrealloc : 0;
  const shape = {
    type,
    name: 'weir_probe',
    keySize: sizes.key,
    valueSize: sizes.value,
    maxEntries: sizes.max,
    flags,
  };
  let map: BpfMap;
  try {
    map = BpfMap.create(shape);
  } catch (error) {
    if (error instanceof KernelError && NEVER_HEARD.includes(error.errno)) return 0;
    throw error;
  }
  try {
    return then === undefined ? 1 : then(map);
  } finally {
    map.close();
  }
}

/** An empty batch is refused or done without touching the map, so ask for one entry. */
function askBatch(map: BpfMap): number {
  const count = Buffer.from([1, 0, 0, 0]);
  const key = Buffer.alloc(map.keySize);
  const result = libbpf().bpf_map_update_batch(map.fd, key, Buffer.alloc(map.valueSize), count, null);
  if (result === -ENOTSUPP || result === -ERRNO.EINVAL) return 0;
  return result < 0 ? result : 1;
}

function askTcx(): number {
  const count = Buffer.alloc(4);
  const result = libbpf().bpf_prog_query(LOOPBACK, TCX_INGRESS, 0, null, null, count);
  if (result === -ERRNO.EINVAL) return 0;
  return result < 0 ? result : 1;
}

const FEATURES: readonly Feature[] = [
  {
    name: 'lpm trie',
    since: '4.11',
    use: 'policy and address lookups',
    ask: () => askMap(MAP_TYPE.lpmTrie, { key: 8, value: 4, max: 1 }),
  },
  {
    name: 'lru hash',
    since: '4.10',
    use: 'connection tracking',
    ask: () => askMap(MAP_TYPE.lruHash, { key: 4, value: 4, max: 64 }),
  },
  {
    name: 'ring buffer',
    since: '5.8',
    use: 'flow events',
    ask: () => askMap(MAP_TYPE.ringbuf, { key: 0, value: 0, max: 65536 }),
  },
  { name: 'fib_lookup', since: '4.18', use: 'routes to the world', ask: helper(HELPER.fibLookup) },
  { name: 'redirect_neigh', since: '5.10', use: 'sending to the world', ask: helper(HELPER.redirectNeigh) },
  { name: 'redirect_peer', since: '5.10', use: 'local delivery', ask: helper(HELPER.redirectPeer) },
  {
    name: 'hash batch',
    since: '5.6',
    use: 'fast map updates; single updates without it',
    optional: true,
    ask: () => askMap(MAP_TYPE.hash, { key: 4, value: 4, max: 1 }, askBatch),
  },
  {
    name: 'lpm batch',
    since: '5.13',
    use: 'fast policy updates; single updates without it',
    optional: true,
    ask: () => askMap(MAP_TYPE.lpmTrie, { key: 8, value: 4, max: 1 }, askBatch),
  },
  { name: 'tcx', since: '6.6', use: 'attachment by links; clsact without it', optional: true, ask: askTcx },
  {
    name: 'btf',
    since: '4.18',
    use: 'readable map dumps',
    optional: true,
    ask: () => (existsSync('/sys/kernel/btf/vmlinux') ? 1 : 0),
  },
];

const settled = new Map<string, Probe>();

function ask({ ask: question }: Feature): number {
  try {
    return question();
  } catch (error) {
    if (error instanceof KernelError) return -(ERRNO[error.errno as keyof typeof ERRNO] ?? ENOTSUPP);
    throw error;
  }
}

function probe(feature: Feature): Probe {
  const known = settled.get(feature.name);
  if (known !== undefined) return known;
  const answer = ask(feature);
  const conclusive = answer >= 0;
  const detail = conclusive ? feature.use : `${feature.use}; undecided: ${errnoName(answer)}`;
  const { name, since } = feature;
  const required = feature.optional !== true;
  const result = { name, present: answer > 0, required, conclusive, since, detail };
  if (conclusive) settled.set(feature.name, result);
  return result;
}

/** All features; certain answers are kept for the life of the process. Throws HostError where libbpf is missing. */
export function probeHost(): Probe[] {
  return FEATURES.map(probe);
}

/** Names of what `hasFeature` knows. */
export type FeatureName = 'tcx' | 'lpm batch' | 'hash batch' | 'ring buffer' | 'redirect_peer';

/** Whether one feature is certainly there. */
export function hasFeature(name: FeatureName): boolean {
  const feature = FEATURES.find((candidate) => candidate.name === name);
  return feature !== undefined && probe(feature).present;
}
