/**
 * What policy means, told a second time and naively: no trie, no key, no clock. It admits at most what is right: a packet
 * that the datapath forwards and the model denies is a hole. Frames are read by hand (datagram.ts), not by the test parser.
 */
import { addressBytes, addressFromBytes } from '../../base/index.ts';
import { CASTS, GATEWAY, host, NO_ONE, partner, ROLES, world } from '../support/cast.ts';
import type { Cast, Role } from '../support/cast.ts';
import { readDatagram, turned, typeOf } from './datagram.ts';
import type { Datagram, Flow } from './datagram.ts';
import { PEER_ANY, PEER_NETWORK, PEER_WORLD } from './policy-entries.ts';
import type { Entry } from './policy-entries.ts';

/** One end as policy sees it. */
interface Party {
  identity: number;
  role?: Role;
  isUnroutable?: boolean;
}

/** A port of the host, by protocol and number, that leads to a container and its port. */
export const SERVICES = new Map([
  ['6 8080', { name: 'web', port: 80 }],
  ['6 443', { name: 'client', port: 443 }],
  ['17 53', { name: 'db', port: 53 }],
]);

/** A flow that may have come in by a published port; then its end is the container already. */
interface Asked extends Flow {
  isPublished: boolean;
}

function nameOf({ protocol, from, to, message }: Flow): string {
  return `${protocol} ${from.ip} ${from.port} ${to.ip} ${to.port} ${message}`;
}

const NUMBERS = new Map<string, bigint>();

function numberOf(ip: string): bigint {
  const known = NUMBERS.get(ip);
  if (known !== undefined) return known;
  const number = BigInt(`0x${addressBytes(ip).toString('hex')}`);
  NUMBERS.set(ip, number);
  return number;
}

function isIn(ip: string, cidr: string): boolean {
  const [base = '', length = '0'] = cidr.split('/');
  const isSix = base.includes(':');
  const rest = BigInt((isSix ? 128 : 32) - Number(length));
  return isSix === ip.includes(':') && numberOf(ip) >> rest === numberOf(base) >> rest;
}

function isReachable(ip: string): boolean {
  if (!ip.includes(':')) {
    const first = Number(ip.split('.')[0]);
    return first !== 0 && first !== 127 && first < 224;
  }
  return !isLinkLocal(ip) && !isIn(ip, 'ff00::/8') && !isIn(ip, '::/96');
}

export function isLinkLocal(ip: string): boolean {
  return isIn(ip, 'fe80::/10');
}

/** Everyone of the cast under the family of an address. */
function castOf(ip: string): Cast {
  return CASTS[ip.includes(':') ? 1 : 0] as Cast;
}

export class Model {
  entries: Entry[] = [];
  readonly roles: Role[] = ROLES.map((role) => ({ ...role }));
  /** Containers that may not meet the world. */
  readonly withoutWorld = new Set<number>();
  readonly #admitted = new Set<string>();
  /** Those that came in by a published port. */
  readonly #published = new Set<string>();
  /** Who has asked himself, by the way his answer takes. */
  readonly #selves = new Map<string, Flow['from']>();
  readonly #fragments = new Map<string, Datagram>();
  readonly #mappings = new Map<string, Flow['from']>();

  /** Whether a container may send this frame. Remembers what follows from it. */
  mayLeave(device: Role, frame: Buffer): boolean {
    const datagram = this.#read(frame);
    if (datagram === undefined || !this.#isHonest(device, frame, datagram)) return false;
    this.#remember(datagram);
    const { destination, from, to } = datagram;
    if (
      !isReachable(destination) ||
      destination === GATEWAY[4] ||
      destination === GATEWAY[6] ||
      to.ip !== destination ||
      from.ip !== datagram.source
    )
      return false;
    const self = this.#selves.get(wayOf(datagram));
    if (self !== undefined) return this.#isAnswer({ ...datagram, to: self });
    return this.#mayPass(datagram);
  }

  /** Whether a frame that nobody inside has asked for may become this one. */
  mayArrive(frame: Buffer, inside: Buffer): boolean {
    const datagram = this.#read(frame);
    const asked = datagram && this.#askedOf(datagram);
    if (datagram === undefined || asked?.isPublished !== true) return false;
    const parties = [datagram.source, datagram.from.ip].map((ip) => this.#partyAt(ip));
    if (parties.some(({ role, isUnroutable }) => role !== undefined || isUnroutable === true)) return false;
    if (this.#partyAt(datagram.from.ip).identity === host.identity) return false;
    this.#remember(datagram);
    return readDatagram(inside)?.destination === asked.to.ip && this.#mayPass(datagram);
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
    if (
      datagram === undefined ||
      result === undefined ||
      datagram.destination !== castOf(datagram.destination).uplink.ip
    )
      return false;
    this.#remember(datagram);
    const { protocol, from, to, message } = datagram;
    const end = this.#mappings.get(`${protocol} ${from.ip} ${from.port} ${to.port}`);
    if (
      end === undefined ||
      to.ip !== datagram.destination ||
      result.destination !== end.ip ||
      datagram.isOpening
    )
      return false;
    const flow: Flow = { protocol, from, to: end, message };
    return this.#isAnswer(flow);
  }

  /** A frame that left for the world, before and after: the address it left under, and the way back to it. */
  noteDeparture(before: Buffer, after: Buffer): boolean {
    const [inside, outside] = [this.#read(before), readDatagram(after)];
    if (inside === undefined || outside === undefined) return false;
    const { native, uplink } = castOf(inside.destination);
    const isNative = isIn(inside.destination, native.cidr);
    if (outside.source === inside.source) return isNative || this.#isAnswer(inside);
    const isService = outside.fragment === 'later' || SERVICES.has(`${inside.protocol} ${outside.from.port}`);
    if (isService && this.#isAnswer(inside)) return this.#isHosts(outside.source);
    if (outside.source !== uplink.ip || isNative) return false;
    const { protocol, to } = inside;
    if (outside.fragment !== 'later' && !inside.isAnswer)
      this.#mappings.set(`${protocol} ${to.ip} ${to.port} ${outside.from.port}`, inside.from);
    return true;
  }

  /** A frame that stays on this host, before and after: a container that asks itself is answered by another way. */
  noteSelf(before: Buffer, after: Buffer): void {
    const [inside, outside] = [this.#read(before), readDatagram(after)];
    if (inside === undefined || outside === undefined || inside.fragment !== 'none' || inside.isAnswer)
      return;
    const asked = this.#askedOf(inside);
    const isSelf = this.#roleAt(asked.to.ip)?.container === this.#roleAt(inside.from.ip)?.container;
    if (!asked.isPublished || !isSelf) return;
    const { protocol, from, to, message } = outside;
    this.#selves.set(wayOf({ protocol, from: to, to: from, message }), inside.from);
  }

  #isHosts(ip: string): boolean {
    const { host: own, uplink } = castOf(ip);
    return ip === own.ip || ip === uplink.ip;
  }

  /** The flow as policy sees it: to the container where it goes to a port of the host that leads there. */
  #askedOf(flow: Flow): Asked {
    const service = this.#isHosts(flow.to.ip) ? SERVICES.get(`${flow.protocol} ${flow.to.port}`) : undefined;
    const role = ROLES.find(({ name }) => name === service?.name);
    if (service === undefined || role === undefined) return { ...flow, isPublished: false };
    const ip = flow.to.ip.includes(':') ? role.ip6 : role.ip4;
    return { ...flow, to: { ip, port: service.port }, isPublished: true };
  }

  identityOf(role: Role): number {
    return this.roles.find(({ name }) => name === role.name)?.identity ?? 0;
  }

  /** The endpoint that a destination is. */
  #roleAt(ip: string): Role | undefined {
    return this.roles.find((role) => role.ip4 === ip || role.ip6 === ip);
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
    const { host, uplink, partner, world, nobody } = castOf(ip);
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
    const asked = this.#askedOf(datagram);
    if (!asked.isPublished && !datagram.isOpening && this.#isAnswer(datagram)) return true;
    if (datagram.isAnswer) return this.#isKnown(asked);
    if (!this.#mayOpen(asked)) return false;
    (asked.isPublished ? this.#published : this.#admitted).add(nameOf(asked));
    return true;
  }

  /** It answers a flow that was admitted and that policy still allows. */
  #isAnswer(flow: Flow): boolean {
    return this.#isKnown(turned(flow));
  }

  #isKnown(flow: Flow): boolean {
    const name = nameOf(flow);
    return (
      (this.#admitted.has(name) && this.#mayOpen({ ...flow, isPublished: false })) ||
      (this.#published.has(name) && this.#mayOpen({ ...flow, isPublished: true }))
    );
  }

  #mayOpen(flow: Asked): boolean {
    const { protocol, from, to, isPublished } = flow;
    const [asker, answerer] = [this.#partyAt(from.ip), this.#partyAt(to.ip)];
    const port = typeOf(flow) ?? to.port;
    if (asker.identity === 0 || answerer.identity === 0) return false;
    if (this.#forgoesWorld(asker) && isWorld(answerer.identity)) return false;
    if (this.#forgoesWorld(answerer) && isWorld(asker.identity)) return false;
    return (
      (asker.role === undefined || this.#decide('egress', asker, answerer, [protocol, port, isPublished])) &&
      (answerer.role === undefined || this.#decide('ingress', answerer, asker, [protocol, port, isPublished]))
    );
  }

  #forgoesWorld({ role }: Party): boolean {
    return role !== undefined && this.withoutWorld.has(role.container);
  }

  #decide(
    direction: Entry['direction'],
    subject: Party,
    peer: Party,
    [protocol, port, isPublished]: [number, number, boolean],
  ): boolean {
    const isNear = subject.role?.spaces.some((space) => peer.role?.spaces.includes(space)) ?? false;
    const hits = this.entries
      .filter((entry) => entry.subject === subject.identity && entry.direction === direction)
      .filter((entry) => isPublished || entry.verdict !== 'published')
      .filter((entry) => isPeer(entry.peer, peer.identity, isNear))
      .filter((entry) => isPort(entry, protocol, port));
    return hits.length > 0 && hits.every((entry) => entry.verdict !== 'deny');
  }
}

function wayOf({ protocol, from, to }: Flow): string {
  return `${protocol} ${from.ip} ${from.port} ${to.ip} ${to.port}`;
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

/** Whether a frame that was answered in place is an honest question for the gateway. */
export function isGatewayAnswer(device: Role, frame: Buffer): boolean {
  return frame.readUInt16BE(12) === 0x0806
    ? isOwn(device, frame.subarray(28, 32).join('.')) && frame.subarray(38, 42).join('.') === GATEWAY[4]
    : isSolicitation(device, frame) && addressFromBytes(frame, 62) === GATEWAY[6];
}

/** ICMPv6 of type 135 that came over no router, from the container's own MAC and address. */
function isSolicitation(device: Role, frame: Buffer): boolean {
  const source = addressFromBytes(frame, 22);
  const isPlain =
    frame.readUInt16BE(12) === 0x86dd && frame.readUInt8(20) === 58 && frame.readUInt8(54) === 135;
  const mac = frame
    .subarray(6, 12)
    .toString('hex')
    .replace(/..(?!$)/g, '$&:');
  const isHonest = isOwn(device, source) || (isLinkLocal(source) && source !== GATEWAY[6]);
  return isPlain && frame.readUInt8(21) === 255 && mac === device.mac && isHonest;
}

/** An address of the device's container, or none at all yet. */
function isOwn(device: Role, ip: string): boolean {
  return (
    ip === NO_ONE ||
    ROLES.some((role) => (role.ip4 === ip || role.ip6 === ip) && role.container === device.container)
  );
}

/** What the gateway says to a container that has asked for it. */
export function isFromGateway(frame: Buffer): boolean {
  const isPlain =
    frame.readUInt16BE(12) === 0x86dd && frame.readUInt8(20) === 58 && frame.readUInt8(54) === 136;
  return isPlain && frame.readUInt8(21) === 255 && addressFromBytes(frame, 22) === GATEWAY[6];
}
