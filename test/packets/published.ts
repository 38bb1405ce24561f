/** Published ports of the tests: what is behind them, who asks and who answers. */
import type { Cast, Role } from '../support/cast.ts';
import { is6, Packet } from '../support/packet.ts';
import { packetFrom, packetTo, pass } from './case.ts';
import type { Where } from './case.ts';
import type { Rig } from './rig.ts';

export const PORT = 8080;
export const TCP = 6;
const UDP = 17;
const NEXT_HOP = '02:88:00:00:00:02';

/** Of every address of the host, unless one is named: port 8080 leads to port 80 of a container, and port 5353 to its port 53. */
export function publish(rig: Rig, to: Role, address: string = is6(to.ip) ? '::' : '0.0.0.0'): void {
  for (const [port, protocol, target] of [
    [PORT, TCP, 80],
    [5353, UDP, 53],
  ] as const)
    rig.maps.service.set({ address, port, protocol }, { address: to.ip, port: target, flags: 0, id: 1 });
}

/** The ports of web: packets to and from them, and worlds in which they are published. */
export interface Publication {
  /** The ports are published, and what was asked has passed. */
  published(...asked: [Where, Packet][]): (rig: Rig) => void;
  /** From the next hop to the host. */
  toUplink(source: string): Packet;
  /** The world opens a connection to the port, as it comes and as web gets it; web's answer. */
  call: Packet;
  callInside: Packet;
  answer: Packet;
  /** A container opens a connection to the port, by the uplink's address. */
  hairpin(from: Role): Packet;
}

export function publicationOf({ web, world, uplink }: Cast): Publication {
  const toUplink = (source: string): Packet =>
    new Packet()
      .ethernet({ source: NEXT_HOP, destination: uplink.mac })
      .ip({ source, destination: uplink.ip });
  return {
    published:
      (...asked) =>
      (rig) => {
        publish(rig, web);
        for (const [where, packet] of asked) pass(rig, where, packet);
      },
    toUplink,
    call: toUplink(world.ip).tcp({ sourcePort: 5000, destinationPort: PORT }),
    callInside: packetTo(web, world.ip).tcp({ sourcePort: 5000, destinationPort: 80 }),
    answer: packetFrom(web, world.ip).tcp({ sourcePort: 80, destinationPort: 5000, flags: 'SA' }),
    hairpin: (from) => packetFrom(from, uplink.ip).tcp({ sourcePort: 5000, destinationPort: PORT }),
  };
}
