import assert from 'node:assert/strict';
import { CtFlag, TraceLevel } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import { NO_MAC } from '../support/packet.ts';
import type { Packet } from '../support/packet.ts';
import { delivered, leaving, packetFrom, packetTo, pass, entering, runCases } from './case.ts';
import type { Case } from './case.ts';
import { isolation, PEER_ANY, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

for (const { family, client, db, host, stranger, uplink, web, webBack, world, headerSize } of CASTS) {
  /**
   * In the middle of a connection a packet takes a short way. Whatever is unusual about it, or has changed since the packet
   * before, must have the effect that it has on a first packet.
   */
  const OPTIONS = family === 'IPv4' ? 'DROP_IP_OPTIONS' : 'DROP_INVALID_EXTENSION_HEADER';
  const syn = packetFrom(web, db.ip).tcp();
  const ack = syn.tcp({ flags: 'A' }).payload('data');
  const back = packetFrom(db, web.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' });
  const question = packetFrom(web, db.ip).udp().payload('a question of some length');
  const response = packetFrom(db, web.ip)
    .udp({ sourcePort: 53, destinationPort: 40000 })
    .payload('and an answer to it');

  /** Options in the place of the ports, and numbers in the place of length and flags. */
  function disguisedOptions(): Packet {
    const ports = Buffer.alloc(8);
    ports.writeUInt16BE(40000);
    ports.writeUInt16BE(80, 2);
    return ack.ip({ options: ports }).tcp({ sequence: 0x5010_0000 });
  }

  /** A segment of the connection as the content of a fragment. */
  function disguisedFragment(): Packet {
    const segment = ack.datagram().subarray(headerSize);
    return ack.payload(Buffer.concat([Buffer.alloc(20), segment])).fragment(40, segment.length);
  }

  function connected(rig: Rig): void {
    pass(rig, leaving(web), syn);
    pass(rig, leaving(db), back);
    pass(rig, leaving(web), ack);
  }

  const then =
    (change: (rig: Rig) => void): ((rig: Rig) => void) =>
    (rig) => {
      connected(rig);
      change(rig);
    };

  /** As if the connection had come in by a published port. */
  function published(rig: Rig): void {
    connected(rig);
    const none = { ifindex: 0, mac: NO_MAC, gatewayMac: NO_MAC };
    for (const [key, entry] of [...rig.maps.ct.entries()]) {
      const flags = entry.flags | CtFlag.CT_SERVICE;
      const frontend = { frontend: uplink.ip, frontendPort: 8080 };
      rig.maps.ct.set(key, { ...entry, ...frontend, flags, low: none, high: none });
    }
  }

  function expires(rig: Rig): number | undefined {
    return [...rig.maps.ct.entries()][0]?.[1].expires;
  }

  /** A packet of web in the middle of its connection. */
  function midway(name: string, packet: Packet, verdict: Case['verdict'], more: Partial<Case> = {}): Case {
    return { name, where: leaving(web), given: connected, packet, verdict, ...more };
  }
  const passes = (name: string, packet: Packet, more: Partial<Case> = {}): Case =>
    midway(name, packet, 'redirect', { becomes: delivered(packet, db), ...more });

  runCases(
    [
      passes('a segment passes in silence', ack, { events: [] }),
      passes('with options too', ack.tcp({ headerLength: 24 }), { events: [] }),
      {
        name: 'so does one of the other side',
        where: leaving(db),
        given: connected,
        packet: back.tcp({ flags: 'PA' }).payload('answer'),
        verdict: 'redirect',
        becomes: delivered(back.tcp({ flags: 'PA' }).payload('answer'), web),
        events: [],
      },
      {
        name: 'so does a datagram that goes on',
        where: leaving(web),
        given: (rig) => {
          pass(rig, leaving(web), question);
          pass(rig, leaving(db), response);
        },
        packet: question,
        verdict: 'redirect',
        becomes: delivered(question, db),
        events: [],
      },
      {
        name: 'a datagram that was not to be checked still is not',
        where: leaving(web),
        given: (rig) => pass(rig, leaving(web), question),
        packet: question.udp({ checksum: 0 }),
        verdict: 'redirect',
        becomes: delivered(question.udp({ checksum: 0 }), db),
      },
      {
        name: 'the first answer is noted',
        where: leaving(db),
        given: (rig) => pass(rig, leaving(web), question),
        packet: response,
        verdict: 'redirect',
        becomes: delivered(response, web),
        events: ['trace TO_ENDPOINT egress'],
      },
      passes('an end is noted', ack.tcp({ flags: 'FA' }), { events: ['trace TO_ENDPOINT egress'] }),
      passes('a segment after the end still passes', ack, {
        given: then((rig) => pass(rig, leaving(web), ack.tcp({ flags: 'FA' }))),
        check: (rig) => assert.ok((expires(rig) ?? 0) > 0),
      }),
      passes('every packet is told of where that is wanted', ack, {
        given: then((rig) => rig.configure({ traceLevel: TraceLevel.TRACE_MAX })),
        events: ['trace TO_ENDPOINT egress'],
      }),
      midway('a new policy is met by the next packet', ack, 'DROP_POLICY', {
        given: then((rig) => rig.policy(selecting(db.identity, 'ingress', []), 8)),
      }),
      passes('and if it allows the connection, that is said', ack, {
        given: then((rig) => rig.policy(isolation(), 8)),
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 0 L3-Only',
          'trace TO_ENDPOINT egress',
        ],
      }),
      {
        name: 'an answer by a published port is decided as that, and never takes the short way',
        where: leaving(db),
        given: (rig) => {
          published(rig);
          rig.policy(selecting(db.identity, 'ingress', [{ peer: PEER_ANY, verdict: 'published' }]), 8);
        },
        packet: back.tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: delivered(back.ip({ source: uplink.ip }).tcp({ sourcePort: 8080, flags: 'A' }), web),
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 1 all',
          'trace TO_ENDPOINT egress',
        ],
        check: (rig) => {
          const [[, entry] = []] = [...rig.maps.ct.entries()];
          assert.deepEqual([entry?.frontend, entry?.frontendPort], [uplink.ip, 8080]);
          assert.deepEqual([entry?.low.ifindex, entry?.high.ifindex], [0, 0]);
        },
      },
      midway('a sender that is somebody else from now on is judged as that', ack, 'DROP_POLICY', {
        given: then((rig) => rig.place(web, { identity: stranger.identity, spaces: stranger.spaces })),
      }),
      midway('so is a receiver', ack, 'DROP_POLICY', {
        given: then((rig) => rig.place(db, { identity: stranger.identity, spaces: stranger.spaces })),
      }),
      midway('a receiver that has gone gets nothing', ack, 'DROP_STALE_OR_UNROUTABLE', {
        given: then((rig) => rig.maps.endpoint.delete(db.ip)),
      }),
      midway('a device that has gone sends nothing', ack, 'DROP_NO_CONFIGURATION', {
        given: then((rig) => rig.maps.device.delete(rig.ifindex(web.name))),
      }),
      passes('a receiver that has moved is found', ack, {
        given: then((rig) => rig.place(db, { mac: client.mac, gatewayMac: client.gatewayMac })),
        becomes: delivered(ack, client),
      }),
      midway(
        'the MAC of another container is refused',
        ack.ethernet({ source: db.mac }),
        'DROP_INVALID_SOURCE_MAC',
      ),
      midway(
        'a frame for another than the gateway is',
        ack.ethernet({ destination: db.mac }),
        'DROP_INVALID_DESTINATION_MAC',
      ),
      midway(
        'so is the packet from the device of another container',
        ack.ethernet({ source: client.mac, destination: client.gatewayMac }),
        'DROP_INVALID_SOURCE_IP',
        {
          where: leaving(client),
        },
      ),
      midway('even if it has the MACs right', ack, 'DROP_INVALID_SOURCE_MAC', { where: leaving(client) }),
      passes(
        'the container’s other device may send it',
        ack.ethernet({ source: webBack.mac, destination: webBack.gatewayMac }),
        {
          where: leaving(webBack),
        },
      ),
      midway('a packet at the end of its life is refused', ack.ip({ ttl: 1 }), 'DROP_TTL_EXCEEDED'),
      midway('options are', ack.ip({ options: Buffer.alloc(8) }), OPTIONS),
      midway('even options that look like the header of the connection', disguisedOptions(), OPTIONS),
      midway('a length beyond the frame is', ack.ip({ totalLength: 100 }), 'DROP_INVALID'),
      midway('a header beyond the segment is', ack.tcp({ headerLength: 60 }), 'DROP_CT_INVALID_HEADER'),
      midway('a header within itself is', ack.tcp({ headerLength: 16 }), 'DROP_CT_INVALID_HEADER'),
      midway('a segment without flags is', ack.tcp({ flags: '' }), 'DROP_INVALID'),
      midway('a later fragment that looks like a segment is', disguisedFragment(), 'DROP_FRAGMENT_NOT_FOUND'),
      passes('a first fragment is remembered', ack.payload(Buffer.alloc(64)).fragment(0, 40), {
        check: (rig) => assert.equal([...rig.maps.fragment.entries()].length, 1),
      }),
      midway('another port is another connection', ack.tcp({ sourcePort: 40001 }), 'DROP_POLICY', {
        given: then((rig) => rig.policy(selecting(db.identity, 'ingress', []))),
      }),
      {
        name: 'what goes to the host goes to its stack',
        where: leaving(web),
        given: (rig) => {
          pass(rig, leaving(web), packetFrom(web, host.ip).tcp());
          pass(
            rig,
            entering(web),
            packetTo(web, host.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' }),
          );
        },
        packet: packetFrom(web, host.ip).tcp({ flags: 'A' }),
        verdict: 'stack',
        events: [],
      },
      {
        name: 'what goes to the world is masqueraded',
        where: leaving(web),
        given: (rig) => pass(rig, leaving(web), packetFrom(web, world.ip).tcp()),
        packet: packetFrom(web, world.ip).tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: (rig) => {
          const [key] = [...rig.maps.nat.entries()][0] ?? [];
          return packetFrom(web, world.ip)
            .ip({ source: uplink.ip, ttl: 63 })
            .tcp({ flags: 'A', sourcePort: key?.localPort ?? 0 });
        },
      },
    ],
    family,
  );
}
