/**
 * The one door to Linux: BPF objects, maps, links and the ring buffer through libbpf, rtnetlink in-process, sysctl and
 * what the host can do. Promises: no process is ever spawned; errors say operation, object and errno name; what may
 * block longer than a millisecond has an async form. Never: knowledge of Docker, policy or the meaning of map bytes.
 * Trap: interface indexes are resolved in the network namespace of the calling thread, and the maps and programs of a
 * BpfObject are closed with it.
 */
export * from './attach.ts';
export { attachCgroup, CGROUP_HOOKS, openCgroupRoot } from './cgroup.ts';
export type { CgroupHook } from './cgroup.ts';
export { BpfMap, MAP_FLAG, MAP_TYPE, possibleCpus } from './bpf-map.ts';
export type { MapShape, UpdateFlag } from './bpf-map.ts';

export * from './bpf-object.ts';
export { KernelError } from './failure.ts';
export { lockFolder } from './folder-lock.ts';
export { holdPort } from './held-port.ts';
export type { HostPort } from './held-port.ts';
export { requireBpffs, requireHost } from './host.ts';
export type { AddressOptions, InterfaceAddress, Scope } from './interface-address.ts';
export { mapLayout } from './map-layout.ts';
export type { MapLayout } from './map-layout.ts';
export { isKernelAtLeast } from './kernel-version.ts';
export type { Link } from './link.ts';
export type { Neighbour } from './neighbour.ts';
export * from './netlink.ts';
export type { Change } from './netlink-socket.ts';
export { closeFd, openPinnedLink, openPinnedProgram, pinObject, unpin } from './pin.ts';
export { portUser } from './port-user.ts';
export { hasFeature, probeHost } from './probe.ts';
export type { FeatureName, Probe } from './probe.ts';
export { RingBuffer } from './ring-buffer.ts';
export { ProbeSocket } from './probe-socket.ts';
export { TABLE } from './route.ts';
export type { NewRoute, Route, RouteType } from './route.ts';
export type { NewRule, Rule } from './rule.ts';
export { hasIpv6, readSysctl, writeSysctl } from './sysctl.ts';
export * from './test-run.ts';
export { VerifierError } from './verifier-error.ts';
