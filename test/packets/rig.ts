/**
 * The datapath on a test bench: the real object on maps of its own, devices of the cast, packets through
 * BPF_PROG_TEST_RUN. What a program redirects goes nowhere.
 */
import { rmSync } from 'node:fs';
import { DatapathObject, decodeEvent, TraceLevel } from '../../bpf/index.ts';
import type { Device, Endpoint, Event, Maps, ProgramName } from '../../bpf/index.ts';
import type { BpfMap } from '../../kernel/index.ts';
import { hasFeature, Netlink, requireBpffs, RingBuffer, testRun, writeSysctl } from '../../kernel/index.ts';
import { CASTS, GATEWAY, NAT, ROLES, router, uplink } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import { is6 } from '../support/packet.ts';
import { enterOwnNamespace } from './own-namespace.ts';
import { fillPolicy, isolation } from './policy-entries.ts';
import type { Entry } from './policy-entries.ts';

const BPFFS = '/sys/fs/bpf';
const METRIC_DIRECTIONS = 4;
const GENERATION = 7;
const NO_ADDRESS = '::';
const UPLINK = CASTS.map((cast) => cast.uplink.ip) as [string, string];
export interface Sent {
  /** The program's answer to the kernel: 0 OK, 2 SHOT, 7 REDIRECT. */
  action: number;
  bytes: Buffer;
  events: Event[];
}

export function endpointOf(role: Role, ifindex: number): Endpoint {
  const { identity, container, id, mac, gatewayMac, spaces } = role;
  return { ifindex, identity, container, id, flags: 0, mac, gatewayMac, spaces };
}

function clear(map: BpfMap): void {
  for (const key of [...map.keys()]) map.delete(key);
}

/** One a file: it moves the whole test file into a network namespace of its own. */
export class Rig {
  readonly maps: Maps;
  readonly #object: DatapathObject;
  readonly #ring: RingBuffer;
  readonly #folder = `${BPFFS}/weir-test-${process.pid}`;
  readonly #netlink: Netlink;
  readonly #index = new Map<string, number>();

  constructor() {
    enterOwnNamespace();
    requireBpffs(BPFFS);
    this.#netlink = Netlink.open();
    this.#makeDevices();
    this.#object = new DatapathObject({ bpffs: this.#folder, tcx: hasFeature('tcx') });
    this.maps = this.#object.maps;
    this.#ring = new RingBuffer(this.maps.events);
    this.reset();
  }

  close(): void {
    this.#ring.close();
    this.#object.close();
    this.#netlink.close();
    rmSync(this.#folder, { recursive: true });
  }

  get generation(): number {
    return this.maps.config.get(0)?.generation ?? 0;
  }

  ifindex(device: string): number {
    const index = this.#index.get(device);
    if (index === undefined) throw new Error(`no device ${device}`);
    return index;
  }

  programFd(program: ProgramName): number {
    return this.#object.program(program);
  }

  /** Everything as at the start: the cast present, default isolation, no connections. */
  reset(): void {
    const { maps } = this;
    for (const map of [maps.ct, maps.nat, maps.fragment, maps.endpoint, maps.device]) clear(map.map);
    for (const map of [maps.ipcache, maps.policy, maps.uplink, maps.service]) clear(map.map);
    this.configure({
      generation: GENERATION,
      traceLevel: TraceLevel.TRACE_MEDIUM,
      uplink: this.ifindex(uplink.name),
      natLow: NAT.low,
      natHigh: NAT.high,
      flags: 0,
    });
    for (const role of ROLES) this.place(role);
    maps.uplink.set(this.ifindex(uplink.name), { ip4: UPLINK[0], ip6: UPLINK[1] });
    for (const { everyone, nobody, native, partner, host, uplink: own } of CASTS) {
      this.prefix(everyone, 2);
      this.prefix(nobody.cidr, 2, 1);
      this.prefix(native.cidr, 2, 2);
      this.prefix(partner.cidr, partner.identity);
      this.prefix(host.ip, host.identity);
      this.prefix(own.ip, host.identity);
    }
    this.policy(isolation());
    this.events();
  }

  configure(change: Partial<NonNullable<ReturnType<Maps['config']['get']>>>): void {
    const current = this.maps.config.get(0) ?? {
      generation: 0,
      traceLevel: 0,
      uplink: 0,
      natLow: 0,
      natHigh: 0,
      flags: 0,
      netns: 0n,
    };
    this.maps.config.set(0, { ...current, ...change });
  }

  /** Puts an endpoint into the maps, changed where asked. */
  place(role: Role, change: Partial<Endpoint> = {}, deviceChange: Partial<Device> = {}): void {
    const ifindex = this.ifindex(role.name);
    const endpoint = { ...endpointOf(role, ifindex), ...change };
    const { ip4, ip6 } = role;
    for (const address of [ip4, ip6]) this.maps.endpoint.set(address, endpoint);
    const device = { ip4, ip6, gateway4: GATEWAY[4], gateway6: GATEWAY[6], endpoint };
    this.maps.device.set(ifindex, { ...device, ...deviceChange });
  }

  /** Names a prefix or an address: identity and flags. */
  prefix(cidr: string, identity: number, flags = 0): void {
    const [address = '', length] = cidr.split('/');
    const value = { identity, flags, tunnel: NO_ADDRESS, spaces: [] };
    const prefixLength = length === undefined ? 128 : Number(length) + (is6(address) ? 0 : 96);
    this.maps.ipcache.set({ prefixLength, address }, value);
  }

  /** Replaces the policy in force, under the same generation unless one is given. */
  policy(entries: Entry[], generation: number = this.generation): void {
    clear(this.maps.policy.map);
    fillPolicy(this.maps, generation, entries);
    this.configure({ generation });
  }

  /** `from`: the device that the host got it from, where it forwards it. */
  send(
    program: ProgramName,
    device: string,
    bytes: Buffer,
    how: { from?: string; segmentSize?: number } = {},
  ): Sent {
    this.events();
    const { from, segmentSize = 0 } = how;
    const ingressIfindex = from === undefined ? 0 : this.ifindex(from);
    const { retval, data } = testRun(this.programFd(program), {
      data: bytes,
      context: { ifindex: this.ifindex(device), ingressIfindex, segmentSize },
    });
    return { action: retval, bytes: data, events: this.events() };
  }

  /** What was told since the last call. */
  events(): Event[] {
    const events: Event[] = [];
    this.#ring.consume((record) => events.push(decodeEvent(record)));
    return events;
  }

  /** Packets and bytes counted under a drop reason, or as forwarded under 0. */
  metric(reason: number, direction: number): { packets: bigint; bytes: bigint } {
    return this.maps.metrics.get(reason * METRIC_DIRECTIONS + direction) ?? { packets: 0n, bytes: 0n };
  }

  /** Puts a program on a real device. */
  async attach(program: ProgramName, device: string): Promise<void> {
    await this.#object.attach(program, { name: device, ifindex: this.ifindex(device) }, 'ingress');
  }

  setMtu(device: string, mtu: number): void {
    this.#netlink.setMtu(this.ifindex(device), mtu);
  }

  #makeDevices(): void {
    const net = this.#netlink;
    writeSysctl('net.ipv4.ip_forward', '1');
    writeSysctl('net.ipv6.conf.all.forwarding', '1');
    writeSysctl('net.ipv6.conf.default.accept_dad', '0');
    for (const role of ROLES) this.#makePair(role.name, role.gatewayMac, role.mac);
    const out = this.#makePair(uplink.name, uplink.mac, router.mac);
    const aside = this.#makePair('bridge', '02:99:00:00:00:01', '02:99:00:00:00:02');
    for (const cast of CASTS) {
      net.addAddress(out, `${cast.uplink.ip}/${cast.onLink}`);
      net.addAddress(aside, `${cast.bridge.ip}/${cast.onLink}`);
      net.addRoute({ destination: cast.everyone, ifindex: out, gateway: cast.router.ip });
      net.addRoute({ destination: cast.blackhole.cidr, type: 'blackhole' });
    }
  }

  #makePair(name: string, mac: string, peerMac: string): number {
    const net = this.#netlink;
    const { index, peerIndex } = net.createVeth({
      name,
      peer: `${name}-c`,
      mac,
      peerMac,
      mtu: 1500,
      withoutLinkLocal: true,
    });
    net.setLinkUp(index);
    net.setLinkUp(peerIndex);
    this.#index.set(name, index);
    this.#index.set(`${name}-c`, peerIndex);
    return index;
  }
}
