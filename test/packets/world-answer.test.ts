import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { arriving, delivered, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { PEER_WORLD, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';
import { mapping, onePort, OUTSIDE_PORT } from './translation.ts';

for (const { family, uplink, web, world, partner, icmp, headerSize, beyond } of CASTS) {
  const tick = (): number => Number(process.hrtime.bigint() >> 30n);
  const toUplink = (source: string): Packet =>
    new Packet()
      .ethernet({ source: '02:88:00:00:00:02', destination: uplink.mac })
      .ip({ source, destination: uplink.ip });

  const question = packetFrom(web, world.ip).tcp();
  const datagram = packetFrom(web, world.ip).udp();
  const ping = packetFrom(web, world.ip).icmp({ id: 7 });
  const TIME_EXCEEDED = { type: icmp.timeExceeded, code: 0, id: 0, sequence: 0 } as const;
  const ROUTER = beyond;

  const answer = toUplink(world.ip).tcp({ sourcePort: 80, destinationPort: OUTSIDE_PORT, flags: 'SA' });
  const answerInside = packetTo(web, world.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' });
  const response = toUplink(world.ip).udp({ sourcePort: 53, destinationPort: OUTSIDE_PORT }).payload('yes');
  const responseInside = packetTo(web, world.ip)
    .udp({ sourcePort: 53, destinationPort: 40000 })
    .payload('yes');
  const pong = toUplink(world.ip).icmp({ type: icmp.echoReply, id: OUTSIDE_PORT });
  const pongInside = packetTo(web, world.ip).icmp({ type: icmp.echoReply, id: 7 });

  /** As the packet left the host; its UDP checksum is what masquerading made of it. */
  function outside(packet: Packet): Packet {
    return packet.ip({ source: uplink.ip, ttl: 60 });
  }

  const asked =
    (...packets: Packet[]): ((rig: Rig) => void) =>
    (rig) => {
      onePort(rig);
      for (const packet of packets) pass(rig, leaving(web), packet);
    };

  runCases(
    [
      {
        name: 'an answer by TCP gets the container’s address and port',
        where: arriving,
        given: asked(question),
        packet: answer,
        verdict: 'redirect',
        becomes: delivered(answerInside, web),
        events: ['trace TO_ENDPOINT ingress'],
        check: (rig, { events }) => {
          assert.deepEqual(
            [events[0]?.source, events[0]?.destination, events[0]?.ctState],
            [world.ip, web.ip, 2],
          );
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.equal(mapping(rig)[1].expires, entry?.expires, 'mapping and connection end together');
          assert.ok(mapping(rig)[1].expires - tick() > 20_000);
        },
      },
      {
        name: 'one by UDP does',
        where: arriving,
        given: asked(datagram),
        packet: response,
        verdict: 'redirect',
        becomes: delivered(responseInside, web),
      },
      {
        name: 'one that is not to be checked still is not',
        where: arriving,
        given: asked(datagram),
        packet: response.udp({ checksum: 0 }),
        verdict: 'redirect',
        becomes: delivered(responseInside.udp({ checksum: 0 }), web),
      },
      {
        name: 'the answer to an echo request gets its id',
        where: arriving,
        given: asked(ping),
        packet: pong,
        verdict: 'redirect',
        becomes: delivered(pongInside, web),
      },
      {
        name: 'a router’s error about a segment finds the container, quoted as it was sent',
        where: arriving,
        given: asked(question),
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .quoting(outside(question).tcp({ sourcePort: OUTSIDE_PORT })),
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, ROUTER)
            .icmp(TIME_EXCEEDED)
            .quoting(question.ip({ ttl: 60 })),
          web,
        ),
        events: [],
      },
      {
        name: 'one about a datagram does, but for the quoted checksum, which nobody checks',
        where: arriving,
        given: asked(datagram),
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .quoting(outside(datagram).udp({ sourcePort: OUTSIDE_PORT, checksum: 0x1234 })),
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, ROUTER)
            .icmp(TIME_EXCEEDED)
            .quoting(datagram.ip({ ttl: 60 }).udp({ checksum: 0x1234 })),
          web,
        ),
      },
      {
        name: 'one about an echo request does, but for the quoted checksum',
        where: arriving,
        given: asked(ping),
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .payload(quotedPing(outside(ping), OUTSIDE_PORT)),
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, ROUTER)
            .icmp(TIME_EXCEEDED)
            .payload(quotedPing(ping.ip({ ttl: 60 }), 7)),
          web,
        ),
      },
      {
        name: 'what answers nothing is the host’s',
        where: arriving,
        packet: answer,
        verdict: 'untouched',
        events: [],
      },
      {
        name: 'an answer from another port of the same machine is the host’s',
        where: arriving,
        given: asked(question),
        packet: answer.tcp({ sourcePort: 81 }),
        verdict: 'untouched',
      },
      {
        name: 'an answer from another machine is the host’s',
        where: arriving,
        given: asked(question),
        packet: answer.ip({ source: partner.ip }),
        verdict: 'untouched',
      },
      {
        name: 'an echo request of the world is the host’s',
        where: arriving,
        given: asked(ping),
        packet: pong.icmp({ type: icmp.echo }),
        verdict: 'untouched',
      },
      {
        name: 'an error about a packet of the host is the host’s',
        where: arriving,
        given: asked(question),
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .quoting(outside(question).tcp({ sourcePort: 33333 })),
        verdict: 'untouched',
      },
      {
        name: 'a mapping that has expired leads nowhere',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          const [key, entry] = mapping(rig);
          rig.maps.nat.set(key, { ...entry, expires: tick() - 1 });
        },
        packet: answer,
        verdict: 'untouched',
      },
      {
        name: 'frames of other protocols are the host’s',
        where: arriving,
        packet: answer.ethernet({ type: 0x86dd }),
        verdict: 'untouched',
      },
      {
        name: 'the world may not open a connection through a mapping, even where policy lets it in',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_WORLD }]));
        },
        packet: answer.tcp({ flags: 'S' }),
        verdict: 'DROP_NO_CONNECTION',
        events: ['drop 163 ingress'],
      },
      {
        name: 'an answer whose connection was evicted is decided on the container’s question',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          for (const [key] of [...rig.maps.ct.entries()]) rig.maps.ct.delete(key);
        },
        packet: answer,
        verdict: 'redirect',
        becomes: delivered(answerInside, web),
        events: ['verdict egress allow rule 0 L3-Only', 'trace TO_ENDPOINT ingress'],
      },
      {
        name: 'an answer does not get in where policy no longer allows the question',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          rig.policy(selecting(web.identity, 'egress', []), 8);
        },
        packet: answer,
        verdict: 'DROP_POLICY',
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
      },
      {
        name: 'nor when its container has gone',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          rig.maps.endpoint.delete(web.ip);
        },
        packet: answer,
        verdict: 'DROP_STALE_OR_UNROUTABLE',
      },
      {
        name: 'nor while it is not known who has its address now',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          rig.place(web, { identity: 0 });
        },
        packet: answer,
        verdict: 'DROP_INVALID_IDENTITY',
      },
      {
        name: 'an error about a connection that was evicted is refused',
        where: arriving,
        given: (rig) => {
          asked(question)(rig);
          for (const [key] of [...rig.maps.ct.entries()]) rig.maps.ct.delete(key);
        },
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .quoting(outside(question).tcp({ sourcePort: OUTSIDE_PORT })),
        verdict: 'DROP_NO_CONNECTION',
      },
      {
        name: 'an answer at the end of its life does not get in',
        where: arriving,
        given: asked(question),
        packet: answer.ip({ ttl: 1 }),
        verdict: 'DROP_TTL_EXCEEDED',
        becomes: answerInside
          .ip({ ttl: 1 })
          .ethernet({ source: '02:88:00:00:00:02', destination: uplink.mac }),
      },
    ],
    family,
  );

  /** IP header and first eight bytes of an echo request under an id, its checksum that of id 7. */
  function quotedPing(packet: Packet, id: number): Buffer {
    const quoted = packet.datagram().subarray(0, headerSize + 8);
    ping.datagram().copy(quoted, headerSize + 2, headerSize + 2, headerSize + 4);
    quoted.writeUInt16BE(id, headerSize + 4);
    return quoted;
  }
}
