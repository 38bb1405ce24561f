/** Frames for the fuzz run: packets of the cast with few ports, so that flows meet again; and what noise makes of them. */
import { addressFromBytes } from '../../base/index.ts';
import { CASTS, GATEWAY, ROLES, router, uplink } from '../support/cast.ts';
import type { Cast, Role } from '../support/cast.ts';
import { ipBytes, macBytes, Packet } from '../support/packet.ts';
import type { Random } from '../support/random.ts';
import { arriving, entering, leaving, packetFrom, packetTo } from './case.ts';
import type { Where } from './case.ts';

export interface Shot {
  where: Where;
  role?: Role;
  frame: Buffer;
}

/** Where packets of a family go to, where they should not, and where they come from by the host. */
const ROADS = CASTS.map((cast) => {
  const { web, db, client, stranger, host, world, partner, native, nobody } = cast;
  const far = [host, world, partner, native].map(({ ip }) => ip);
  return {
    cast,
    far,
    near: [web.ip, db.ip, client.ip, stranger.ip, ...far, nobody.ip],
    odd: oddPlaces(cast),
  };
});

function oddPlaces({ family, uplink, router, web, group, noOne }: Cast): string[] {
  const odd =
    family === 'IPv4'
      ? ['255.255.255.255', '127.0.0.1']
      : ['::1', 'fe80::2', '::ad2:b', `::ffff:${web.ip4}`, 'ff02::1'];
  return [uplink.ip, router.ip, web.gateway, group, noOne, ...odd];
}

const PORTS = [53, 80, 443, 8080, 40000, 40001];
const IDS = [0, 7, 8];
const TCP_FLAGS = ['S', 'S', 'SA', 'A', 'A', 'PA', 'FA', 'R', 'SFRPAU', ''];
const REMEMBERED = 200;
/** The kernel takes no frame for a test that is shorter than its headers. */
const LEAST = 54;

export class FrameSource {
  readonly #random: Random;
  /** Frames seen lately, to be answered, quoted and spoilt. */
  readonly #seen: Packet[] = [];
  /** Ports that masquerading has given out. */
  readonly #outside: { remote: string; cast: Cast; packet: Packet; port: number }[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Shot {
    const random = this.#random;
    const kind = random.below(20);
    const shot = kind < 14 ? this.#leaving() : kind < 17 ? this.#entering() : this.#arriving();
    if (random.once(4)) return { ...shot, frame: this.#spoil(shot.frame) };
    return random.once(50) ? { ...shot, frame: random.bytes(LEAST + random.below(120)) } : shot;
  }

  /** A frame that has left for the world under this port or id may be answered from there. */
  noteDeparture(frame: Buffer): void {
    const isSix = frame.readUInt16BE(12) === 0x86dd;
    const next = frame.readUInt8(isSix ? 20 : 23);
    const l4 = isSix ? 54 : 34;
    const port = frame.readUInt16BE(next === 1 || next === 58 ? l4 + 4 : l4);
    const remote = isSix ? addressFromBytes(frame, 38) : frame.subarray(30, 34).join('.');
    const packet = this.#seen.at(-1);
    const cast = CASTS[isSix ? 1 : 0] as Cast;
    if (packet !== undefined) this.#outside.unshift({ remote, cast, packet, port });
    this.#outside.splice(REMEMBERED);
  }

  #leaving(): Shot {
    const random = this.#random;
    const role = random.pick(ROLES);
    const { near, odd } = random.pick(ROADS);
    const to = random.once(10) ? random.pick(odd) : random.pick(near);
    if (random.once(60)) return { where: leaving(role), role, frame: this.#arp(role).bytes() };
    if (random.once(60)) return { where: leaving(role), role, frame: this.#solicitation(role).bytes() };
    const packet = this.#above(packetFrom(role, to), random);
    const device = random.once(15) ? random.pick(ROLES) : role;
    return { where: leaving(device), role: device, frame: this.#seenAs(packet) };
  }

  #entering(): Shot {
    const role = this.#random.pick(ROLES);
    const { near, far } = this.#random.pick(ROADS);
    const from = this.#random.pick(this.#random.once(10) ? near : far);
    return {
      where: entering(role),
      role,
      frame: this.#seenAs(this.#above(packetTo(role, from), this.#random)),
    };
  }

  #arriving(): Shot {
    const random = this.#random;
    const blank = new Packet().ethernet({ source: router.mac, destination: uplink.mac });
    const gone = random.pick(this.#outside);
    if (gone === undefined || random.once(5)) {
      return {
        where: arriving,
        frame: this.#stray(blank).bytes(),
      };
    }
    const { icmp, uplink: local } = gone.cast;
    const back = blank.ip({ source: gone.remote, destination: local.ip });
    const port = random.pick(PORTS);
    const kinds = [
      back.tcp({ sourcePort: port, destinationPort: gone.port, flags: random.pick(TCP_FLAGS) }),
      back.udp({ sourcePort: port, destinationPort: gone.port }),
      back.icmp({ type: icmp.echoReply, id: gone.port }),
      back.icmp({ type: icmp.timeExceeded, id: 0 }).quoting(gone.packet.ip({ source: local.ip })),
    ];
    return { where: arriving, frame: random.pick(kinds).bytes() };
  }

  #stray(blank: Packet): Packet {
    const { cast, far } = this.#random.pick(ROADS);
    const packet = blank.ip({ source: this.#random.pick(far), destination: cast.uplink.ip });
    return this.#above(packet, this.#random);
  }

  #above(packet: Packet, random: Random): Packet {
    const { echo, echoReply, unreachable, timeExceeded, parameterProblem } = (
      CASTS[packet.is6 ? 1 : 0] as Cast
    ).icmp;
    const ports = { sourcePort: random.pick(PORTS), destinationPort: random.pick(PORTS) };
    const quoted = random.pick(this.#seen);
    const kind = random.below(quoted === undefined ? 7 : 8);
    if (kind < 3) return packet.tcp({ ...ports, flags: random.pick(TCP_FLAGS) });
    if (kind === 3) return packet.udp(ports);
    if (kind === 4) return this.#message(packet, [echo, echo, echoReply, echoReply]);
    if (kind === 5) return packet.sctp(ports);
    if (kind === 6) return this.#fragment(packet.udp(ports).ip({ id: random.below(4) }));
    return packet
      .icmp({ type: random.pick([unreachable, timeExceeded, parameterProblem]), id: 0 })
      .quoting(quoted);
  }

  /** Of one of these types, or of any. */
  #message(packet: Packet, types: number[]): Packet {
    const random = this.#random;
    const type = random.once(4) ? random.below(256) : random.pick([...types, 13]);
    return packet.icmp({ type, id: random.pick(IDS) });
  }

  #fragment(packet: Packet): Packet {
    const long = packet.payload(Buffer.alloc(120));
    return this.#random.once(2) ? long.fragment(0, 64) : long.fragment(64, 64);
  }

  #arp(role: Role): Packet {
    const random = this.#random;
    const sender = random.once(3) ? random.pick(ROLES) : role;
    const arp = {
      senderMac: sender.mac,
      senderIp: random.pick(ROLES).ip4,
      targetIp: random.pick([GATEWAY[4], ...(ROADS[0]?.near ?? [])]),
    };
    return new Packet()
      .ethernet({ source: role.mac, destination: 'ff:ff:ff:ff:ff:ff' })
      .arp({ ...arp, operation: 1 + random.below(2) });
  }

  /** A question for a neighbour, mostly the gateway; or what else neighbours say to each other. */
  #solicitation(role: Role): Packet {
    const random = this.#random;
    const sender = random.once(3) ? random.pick(ROLES) : role;
    const target = random.once(3) ? random.pick(ROLES).ip6 : GATEWAY[6];
    const mac = (random.once(4) ? random.pick(ROLES) : role).mac;
    const type = random.once(3) ? 133 + random.below(5) : 135;
    return new Packet()
      .ethernet({ source: role.mac, destination: '33:33:ff:00:00:01' })
      .ip({ source: random.pick([sender.ip6, 'fe80::7', '::']), destination: 'ff02::1:ff00:1' })
      .ip({ ttl: random.once(6) ? 64 : 255 })
      .icmp({ type, id: 0, sequence: 0 })
      .payload(Buffer.concat([ipBytes(target), Buffer.from([1, 1]), macBytes(mac)]));
  }

  #seenAs(packet: Packet): Buffer {
    this.#seen.unshift(packet);
    this.#seen.splice(REMEMBERED);
    return packet.bytes();
  }

  /** A few bytes changed, or the end cut off, or more behind it. */
  #spoil(frame: Buffer): Buffer {
    const random = this.#random;
    const spoilt = Buffer.from(frame);
    if (random.once(4)) return spoilt.subarray(0, Math.max(LEAST, random.below(spoilt.length)));
    if (random.once(4)) return Buffer.concat([spoilt, random.bytes(random.below(60))]);
    for (let i = random.below(4); i >= 0; i--) spoilt[random.below(spoilt.length)] = random.below(256);
    return spoilt;
  }
}
