/**
 * What policy means, told a second time and naively: no trie, no key, no clock. It admits at most what is right: a packet
 * that the datapath forwards and the model denies is a hole. Frames are read here by hand, not by the test parser.
 */
import { host, native, nobody, NO_ONE, partner, ROLES, uplink, world } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import { PEER_ANY, PEER_NETWORK, PEER_WORLD } from './policy-entries.ts';
import type { Entry } from './policy-entries.ts';

const TCP = 6;
const ICMP = 1;
const ECHO = 8;
const ECHO_REPLY = 0;
const ERRORS = [3, 11, 12];
const SYN = 2;
const SYN_ACK = 18;

interface End {
  ip: string;
  port: number;
}

/** A flow as its packet shows it; for ICMP echo the id is the asker's port. */
export interface Flow {
  protocol: number;
  from: End;
  to: End;
}

export interface Datagram extends Flow {
  source: string;
  destination: string;
  /** What it cannot be but an answer: an echo reply, an ICMP error. */
  isAnswer: boolean;
  /** It opens a connection and cannot be an answer. */
  isOpening: boolean;
  fragment: 'none' | 'first' | 'later';
  id: number;
}

/** One end as policy sees it. */
interface Party {
  identity: number;
  role?: Role;
  isUnroutable?: boolean;
}

function ipAt(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

function turned({ protocol, from, to }: Flow): Flow {
  return { protocol, from: to, to: from };
}

function nameOf({ protocol, from, to }: Flow): string {
  return `${protocol} ${from.ip} ${from.port} ${to.ip} ${to.port}`;
}

function isIn(ip: string, cidr: string): boolean {
  const [base = '', length = '0'] = cidr.split('/');
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  return Math.floor(number(ip) / size) === Math.floor(number(base) / size);
}

function isReachable(ip: string): boolean {
  const first = Number(ip.split('.')[0]);
  return first !== 0 && first !== 127 && first < 224;
}

/** The flow that a header and what follows it belong to. */
function flowAt(bytes: Buffer, ip: number): Flow & { type: number } {
  const protocol = bytes.readUInt8(ip + 9);
  const from = { ip: ipAt(bytes, ip + 12), port: 0 };
  const to = { ip: ipAt(bytes, ip + 16), port: 0 };
  const type = bytes.readUInt8(ip + 20);
  if (protocol !== ICMP) {
    from.port = bytes.readUInt16BE(ip + 20);
    to.port = bytes.readUInt16BE(ip + 22);
  } else if (type === ECHO) from.port = bytes.readUInt16BE(ip + 24);
  else to.port = bytes.readUInt16BE(ip + 24);
  return { protocol, from, to, type };
}

/** An IPv4 frame without options, or undefined. */
export function readDatagram(frame: Buffer): Datagram | undefined {
  if (frame.length < 34 || frame.readUInt16BE(12) !== 0x0800 || frame.readUInt8(14) !== 0x45)
    return undefined;
  const padded = Buffer.concat([frame, Buffer.alloc(80)]);
  const offset = padded.readUInt16BE(20) & 0x1fff;
  const fragment = offset > 0 ? 'later' : padded.readUInt16BE(20) & 0x2000 ? 'first' : 'none';
  const { type, ...flow } = flowAt(padded, 14);
  const about = {
    source: flow.from.ip,
    destination: flow.to.ip,
    fragment,
    id: padded.readUInt16BE(18),
  } as const;
  if (flow.protocol === ICMP && ERRORS.includes(type)) {
    const { type: _, ...quoted } = flowAt(padded, 42);
    return { ...turned(quoted), ...about, isAnswer: true, isOpening: false };
  }
  const isAnswer = flow.protocol === ICMP && type === ECHO_REPLY;
  const isSyn = flow.protocol === TCP && (padded.readUInt8(47) & SYN_ACK) === SYN;
  const isOpening = isSyn || (flow.protocol === ICMP && type === ECHO);
  return { ...flow, ...about, isAnswer, isOpening };
}

export class Model {
  entries: Entry[] = [];
  readonly roles: Role[] = ROLES.map((role) => ({ ...role }));
  /** Containers that may not meet the world. */
  readonly withoutWorld = new Set<number>();
  readonly #admitted = new Set<string>();
  readonly #fragments = new Map<string, Datagram>();
  readonly #mappings = new Map<string, End>();

  /** Whether a container may send this frame. Remembers what follows from it. */
  mayLeave(device: Role, frame: Buffer): boolean {
    const datagram = this.#read(frame);
    if (datagram === undefined || !this.#isHonest(device, frame, datagram)) return false;
    this.#remember(datagram);
    const { destination, from, to } = datagram;
    if (
      !isReachable(destination) ||
      destination === device.gateway ||
      to.ip !== destination ||
      from.ip !== datagram.source
    )
      return false;
    return this.#mayPass(datagram);
  }

  /** Whether the host's stack may send this frame into a container. */
  mayEnter(device: Role, frame: Buffer): boolean {
    const datagram = this.#read(frame);
    if (
      datagram === undefined ||
      !this.#ownedBy(device, datagram.destination) ||
      datagram.to.ip !== datagram.destination
    )
      return false;
    if ([datagram.source, datagram.from.ip].some((ip) => this.#roleAt(ip) !== undefined)) return false;
    if (this.#partyAt(datagram.from.ip).isUnroutable === true) return false;
    this.#remember(datagram);
    return this.#mayPass(datagram);
  }

  /** Whether a frame from the world may become this one inside. */
  mayAnswer(frame: Buffer, inside: Buffer): boolean {
    const datagram = this.#read(frame);
    const result = readDatagram(inside);
    if (datagram === undefined || result === undefined || datagram.destination !== uplink.ip) return false;
    this.#remember(datagram);
    const { protocol, from, to } = datagram;
    const end = this.#mappings.get(`${protocol} ${from.ip} ${from.port} ${to.port}`);
    if (end === undefined || to.ip !== uplink.ip || result.destination !== end.ip || datagram.isOpening)
      return false;
    const flow: Flow = { protocol, from, to: end };
    return this.#isAnswer(flow);
  }

  /** A frame that left for the world, before and after: the address it left under, and the way back to it. */
  noteDeparture(before: Buffer, after: Buffer): boolean {
    const [inside, outside] = [this.#read(before), readDatagram(after)];
    if (inside === undefined || outside === undefined) return false;
    const isNative = isIn(inside.destination, native.cidr);
    if (outside.source === inside.source) return isNative || this.#isAnswer(inside);
    if (outside.source !== uplink.ip || isNative) return false;
    const { protocol, to } = inside;
    if (outside.fragment !== 'later' && !inside.isAnswer)
      this.#mappings.set(`${protocol} ${to.ip} ${to.port} ${outside.from.port}`, inside.from);
    return true;
  }

  identityOf(role: Role): number {
    return this.roles.find(({ name }) => name === role.name)?.identity ?? 0;
  }

  /** The endpoint that a destination is. */
  #roleAt(ip: string): Role | undefined {
    return this.roles.find((role) => role.ip === ip);
  }

  #ownedBy(device: Role, ip: string): boolean {
    return this.#roleAt(ip)?.container === device.container;
  }

  #isHonest(device: Role, frame: Buffer, { source }: Datagram): boolean {
    const mac = (at: number): string =>
      frame
        .subarray(at, at + 6)
        .toString('hex')
        .replace(/..(?!$)/g, '$&:');
    return mac(6) === device.mac && mac(0) === device.gatewayMac && this.#ownedBy(device, source);
  }

  #partyAt(ip: string): Party {
    const role = this.#roleAt(ip);
    if (role !== undefined) return { identity: role.identity, role };
    if (ip === host.ip || ip === uplink.ip) return { identity: host.identity };
    if (isIn(ip, partner.cidr)) return { identity: partner.identity };
    return { identity: world.identity, isUnroutable: isIn(ip, nobody.cidr) };
  }

  /** A later fragment stands for the flow of its first. */
  #read(frame: Buffer): Datagram | undefined {
    const datagram = readDatagram(frame);
    if (datagram?.fragment !== 'later') return datagram;
    const first = this.#fragments.get(fragmentName(datagram));
    return first && { ...first, isOpening: false, fragment: 'later' };
  }

  #remember(datagram: Datagram): void {
    if (datagram.fragment === 'first') this.#fragments.set(fragmentName(datagram), datagram);
  }

  #mayPass(datagram: Datagram): boolean {
    if (this.#partyAt(datagram.destination).isUnroutable === true) return false;
    if (!datagram.isOpening && this.#isAnswer(datagram)) return true;
    if (datagram.isAnswer) return this.#isKnown(datagram);
    if (!this.#mayOpen(datagram)) return false;
    this.#admitted.add(nameOf(datagram));
    return true;
  }

  /** It answers a flow that was admitted and that policy still allows. */
  #isAnswer(flow: Flow): boolean {
    return this.#isKnown(turned(flow));
  }

  #isKnown(flow: Flow): boolean {
    return this.#admitted.has(nameOf(flow)) && this.#mayOpen(flow);
  }

  #mayOpen({ protocol, from, to }: Flow): boolean {
    const [asker, answerer] = [this.#partyAt(from.ip), this.#partyAt(to.ip)];
    const port = protocol === ICMP ? ECHO : to.port;
    if (asker.identity === 0 || answerer.identity === 0) return false;
    if (this.#forgoesWorld(asker) && isWorld(answerer.identity)) return false;
    if (this.#forgoesWorld(answerer) && isWorld(asker.identity)) return false;
    return (
      (asker.role === undefined || this.#decide('egress', asker, answerer, [protocol, port])) &&
      (answerer.role === undefined || this.#decide('ingress', answerer, asker, [protocol, port]))
    );
  }

  #forgoesWorld({ role }: Party): boolean {
    return role !== undefined && this.withoutWorld.has(role.container);
  }

  #decide(
    direction: Entry['direction'],
    subject: Party,
    peer: Party,
    [protocol, port]: [number, number],
  ): boolean {
    const isNear = subject.role?.spaces.some((space) => peer.role?.spaces.includes(space)) ?? false;
    const hits = this.entries
      .filter((entry) => entry.subject === subject.identity && entry.direction === direction)
      .filter((entry) => isPeer(entry.peer, peer.identity, isNear))
      .filter((entry) => isPort(entry, protocol, port));
    return hits.length > 0 && hits.every((entry) => entry.verdict !== 'deny');
  }
}

function isPeer(named: number, identity: number, isNear: boolean): boolean {
  if (named === PEER_ANY || named === identity) return true;
  return (named === PEER_NETWORK && isNear) || (named === PEER_WORLD && isWorld(identity));
}

function isPort(entry: Entry, protocol: number, port: number): boolean {
  if (entry.protocol === undefined) return true;
  if (entry.protocol !== protocol) return false;
  const rest = 16 - (entry.portBits ?? 16);
  return entry.port === undefined || port >> rest === entry.port >> rest;
}

function isWorld(identity: number): boolean {
  return identity === world.identity || identity >= partner.identity;
}

function fragmentName({ protocol, source, destination, id }: Datagram): string {
  return `${protocol} ${source} ${destination} ${id}`;
}

/** Whether a frame that was answered in place is the gateway's answer to an honest question. */
export function isGatewayAnswer(device: Role, frame: Buffer): boolean {
  const isArp = frame.readUInt16BE(12) === 0x0806;
  const asker = ipAt(frame, 28);
  const isOwn =
    asker === NO_ONE || ROLES.some((role) => role.ip === asker && role.container === device.container);
  return isArp && isOwn && ipAt(frame, 38) === device.gateway;
}
