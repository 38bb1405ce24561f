/** Frames for the fuzz run: packets of the cast with few ports, so that flows meet again; and what noise makes of them. */
import {
  client,
  db,
  host,
  native,
  nobody,
  partner,
  ROLES,
  router,
  stranger,
  uplink,
  web,
  world,
} from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import type { Random } from '../support/random.ts';
import { arriving, entering, leaving, packetFrom, packetTo } from './case.ts';
import type { Where } from './case.ts';

export interface Shot {
  where: Where;
  role?: Role;
  frame: Buffer;
}

const PLACES = [web.ip, db.ip, client.ip, stranger.ip, host.ip, world.ip, partner.ip, native.ip, nobody.ip];
const ODD_PLACES = [
  uplink.ip,
  router.ip,
  web.gateway,
  '224.0.0.1',
  '255.255.255.255',
  '127.0.0.1',
  '0.0.0.0',
];
const FAR = [host.ip, world.ip, partner.ip, native.ip];
const PORTS = [53, 80, 443, 8080, 40000, 40001];
const IDS = [0, 7, 8];
const TCP_FLAGS = ['S', 'S', 'SA', 'A', 'A', 'PA', 'FA', 'R', 'SFRPAU', ''];
const REMEMBERED = 200;

export class FrameSource {
  readonly #random: Random;
  /** Frames seen lately, to be answered, quoted and spoilt. */
  readonly #seen: Packet[] = [];
  /** Ports that masquerading has given out. */
  readonly #outside: { remote: string; packet: Packet; port: number }[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Shot {
    const random = this.#random;
    const kind = random.below(20);
    const shot = kind < 14 ? this.#leaving() : kind < 17 ? this.#entering() : this.#arriving();
    if (random.once(4)) return { ...shot, frame: this.#spoil(shot.frame) };
    return random.once(50) ? { ...shot, frame: random.bytes(34 + random.below(120)) } : shot;
  }

  /** A frame that has left for the world under this port or id may be answered from there. */
  noteDeparture(frame: Buffer): void {
    const port = frame.readUInt16BE(frame.readUInt8(23) === 1 ? 38 : 34);
    const remote = frame.subarray(30, 34).join('.');
    const packet = this.#seen.at(-1);
    if (packet !== undefined) this.#outside.unshift({ remote, packet, port });
    this.#outside.splice(REMEMBERED);
  }

  #leaving(): Shot {
    const random = this.#random;
    const role = random.pick(ROLES);
    const to = random.once(10) ? random.pick(ODD_PLACES) : random.pick(PLACES);
    if (random.once(60)) return { where: leaving(role), role, frame: this.#arp(role).bytes() };
    const packet = this.#above(packetFrom(role, to), random);
    const device = random.once(15) ? random.pick(ROLES) : role;
    return { where: leaving(device), role: device, frame: this.#seenAs(packet) };
  }

  #entering(): Shot {
    const role = this.#random.pick(ROLES);
    const from = this.#random.once(10) ? this.#random.pick(PLACES) : this.#random.pick(FAR);
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
        frame: this.#above(blank.ip({ source: random.pick(FAR), destination: uplink.ip }), random).bytes(),
      };
    }
    const back = blank.ip({ source: gone.remote, destination: uplink.ip });
    const port = random.pick(PORTS);
    const kinds = [
      back.tcp({ sourcePort: port, destinationPort: gone.port, flags: random.pick(TCP_FLAGS) }),
      back.udp({ sourcePort: port, destinationPort: gone.port }),
      back.icmp({ type: 0, id: gone.port }),
      back.icmp({ type: 11, id: 0 }).quoting(gone.packet.ip({ source: uplink.ip })),
    ];
    return { where: arriving, frame: random.pick(kinds).bytes() };
  }

  #above(packet: Packet, random: Random): Packet {
    const ports = { sourcePort: random.pick(PORTS), destinationPort: random.pick(PORTS) };
    const quoted = random.pick(this.#seen);
    const kind = random.below(quoted === undefined ? 7 : 8);
    if (kind < 3) return packet.tcp({ ...ports, flags: random.pick(TCP_FLAGS) });
    if (kind === 3) return packet.udp(ports);
    if (kind === 4) return packet.icmp({ type: random.pick([8, 8, 0, 0, 13]), id: random.pick(IDS) });
    if (kind === 5) return packet.sctp(ports);
    if (kind === 6) return this.#fragment(packet.udp(ports).ip({ id: random.below(4) }));
    return packet.icmp({ type: random.pick([3, 11, 12]), id: 0 }).quoting(quoted);
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
      senderIp: random.pick(ROLES).ip,
      targetIp: random.pick([role.gateway, ...PLACES]),
    };
    return new Packet()
      .ethernet({ source: role.mac, destination: 'ff:ff:ff:ff:ff:ff' })
      .arp({ ...arp, operation: 1 + random.below(2) });
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
    if (random.once(4)) return spoilt.subarray(0, Math.max(34, random.below(spoilt.length)));
    if (random.once(4)) return Buffer.concat([spoilt, random.bytes(random.below(60))]);
    for (let i = random.below(4); i >= 0; i--) spoilt[random.below(spoilt.length)] = random.below(256);
    return spoilt;
  }
}
