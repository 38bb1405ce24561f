import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { arriving, delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';
import { masqueraded, onePort, OUTSIDE_PORT } from './translation.ts';

for (const { family, client, db, host, uplink, web, world, icmp } of CASTS) {
  const UDP = 17;
  const LONG = Buffer.alloc(3000, 'weir');
  /** The same packet as three fragments; what is cut is the datagram as its last byte left it. */
  const cut = (packet: Packet): [Packet, Packet, Packet] => [
    packet.fragment(0, 1400),
    packet.fragment(1400, 1400),
    packet.fragment(2800, 208),
  ];

  const datagram = packetFrom(web, db.ip).ip({ id: 77 }).udp({ destinationPort: 53 }).payload(LONG);
  const [first, middle, last] = cut(datagram);
  const ping = packetFrom(web, db.ip).ip({ id: 78 }).icmp().payload(LONG);
  const pong = packetFrom(db, web.ip).ip({ id: 79 }).icmp({ type: icmp.echoReply }).payload(LONG);
  const stream = packetFrom(web, db.ip).ip({ id: 80 }).tcp().payload(LONG);
  const [streamFirst, streamMiddle] = cut(stream);
  const [pingFirst, , pingLast] = cut(ping);
  const [pongFirst, pongMiddle] = cut(pong);

  const outward = packetFrom(web, world.ip).ip({ id: 81 }).udp({ destinationPort: 53 }).payload(LONG);
  const inward = packetTo(web, world.ip)
    .ip({ id: 82, destination: uplink.ip })
    .udp({ sourcePort: 53, destinationPort: OUTSIDE_PORT })
    .payload(LONG);
  const back = packetTo(web, world.ip)
    .ip({ id: 82 })
    .udp({ sourcePort: 53, destinationPort: 40000 })
    .payload(LONG);

  /** web has sent the first fragment. */
  const following =
    (first: Packet) =>
    (rig: Rig): void =>
      pass(rig, leaving(web), first);

  const outwardBegun = (rig: Rig): void => {
    onePort(rig);
    pass(rig, leaving(web), outward.fragment(0, 1400));
  };

  runCases(
    [
      {
        name: 'a first fragment leaves its ports for the others',
        where: leaving(web),
        packet: first,
        verdict: 'redirect',
        becomes: delivered(first, db),
        check: (rig) => {
          const key = { source: web.ip, destination: db.ip, protocol: UDP };
          const [[found, entry] = []] = [...rig.maps.fragment.entries()];
          assert.deepEqual({ ...found, id: 0 }, { ...key, id: 0 });
          assert.deepEqual(entry, { sourcePort: 40000, destinationPort: 53, answers: 0, message: 0 });
        },
      },
      {
        name: 'a middle fragment follows it',
        where: leaving(web),
        given: following(first),
        packet: middle,
        verdict: 'redirect',
        becomes: delivered(middle, db),
        events: [],
      },
      {
        name: 'so does the last',
        where: leaving(web),
        given: following(first),
        packet: last,
        verdict: 'redirect',
        becomes: delivered(last, db),
        check: (_, sent) =>
          assert.equal(
            sent.bytes.length,
            packetFrom(web, db.ip).bytes().length + (family === 'IPv6' ? 8 : 0) + 208,
          ),
      },
      {
        name: 'a last fragment of a few bytes does too',
        where: leaving(web),
        given: following(first),
        packet: datagram.payload(LONG.subarray(0, 1395)).fragment(1400, 8),
        verdict: 'redirect',
        becomes: delivered(datagram.payload(LONG.subarray(0, 1395)).fragment(1400, 8), db),
      },
      {
        name: 'a fragment that comes before its first is refused',
        where: leaving(web),
        packet: middle,
        verdict: 'DROP_FRAGMENT_NOT_FOUND',
        events: ['drop 175 egress'],
      },
      {
        name: 'a fragment of another datagram is refused',
        where: leaving(web),
        given: following(first),
        packet: middle.ip({ id: 99 }),
        verdict: 'DROP_FRAGMENT_NOT_FOUND',
      },
      {
        name: 'a fragment to another destination is refused',
        where: leaving(web),
        given: following(first),
        packet: middle.ip({ destination: client.ip }),
        verdict: 'DROP_FRAGMENT_NOT_FOUND',
      },
      {
        name: 'a fragment of another protocol is refused',
        where: leaving(web),
        given: following(first),
        packet: middle.ip({ protocol: 132 }),
        verdict: 'DROP_FRAGMENT_NOT_FOUND',
      },
      {
        name: 'a fragment is judged by the ports of its first',
        where: leaving(web),
        given: (rig) => {
          pass(rig, leaving(web), first);
          rig.policy(selecting(db.identity, 'ingress', [{ peer: web.identity, protocol: UDP, port: 54 }]), 8);
        },
        packet: middle,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'a first fragment in the name of another container leaves nothing',
        where: leaving(client),
        packet: packetFrom(client, db.ip)
          .ip({ source: web.ip, id: 77 })
          .udp()
          .payload(LONG)
          .fragment(0, 1400),
        verdict: 'DROP_INVALID_SOURCE_IP',
        check: (rig) => assert.deepEqual([...rig.maps.fragment.entries()], []),
      },
      {
        name: 'a first fragment that is too short for its ports is refused',
        where: leaving(web),
        packet: packetFrom(web, db.ip).tcp().payload(LONG).fragment(0, 16),
        verdict: 'DROP_CT_INVALID_HEADER',
      },
      {
        name: 'TCP may be fragmented',
        where: leaving(web),
        given: following(streamFirst),
        packet: streamMiddle,
        verdict: 'redirect',
        becomes: delivered(streamMiddle, db),
      },
      {
        name: 'but no fragment may write over the flags that were judged',
        where: leaving(web),
        given: following(streamFirst),
        packet: stream.fragment(8, 1400),
        verdict: 'DROP_INVALID',
      },
      {
        name: 'fragments of an echo request follow it',
        where: leaving(web),
        given: following(pingFirst),
        packet: pingLast,
        verdict: 'redirect',
        becomes: delivered(pingLast, db),
      },
      {
        name: 'fragments of its answer count as an answer',
        where: leaving(db),
        given: (rig) => {
          rig.policy(selecting(db.identity, 'egress', []));
          for (const packet of cut(ping)) pass(rig, leaving(web), packet);
          pass(rig, leaving(db), pongFirst);
        },
        packet: pongMiddle,
        verdict: 'redirect',
        becomes: delivered(pongMiddle, web),
      },
      {
        name: 'an ICMP error in fragments is refused',
        where: leaving(db),
        given: (rig) => pass(rig, leaving(web), packetFrom(web, db.ip).udp()),
        packet: packetFrom(db, web.ip)
          .icmp({ type: icmp.unreachable, code: 3, id: 0 })
          .payload(Buffer.concat([packetFrom(web, db.ip).udp().datagram(), LONG]))
          .fragment(0, 800),
        verdict: 'DROP_CT_INVALID_HEADER',
      },
      {
        name: 'fragments from the host reach a container',
        where: entering(web),
        given: (rig) =>
          pass(rig, entering(web), packetTo(web, host.ip).udp().payload(LONG).fragment(0, 1400)),
        packet: packetTo(web, host.ip).udp().payload(LONG).fragment(1400, 1400),
        verdict: 'stack',
      },
      {
        name: 'a first fragment to the world gets another port and the checksum of the whole',
        where: leaving(web),
        given: onePort,
        packet: outward.fragment(0, 1400),
        verdict: 'redirect',
        becomes: masqueraded(outward).udp({ sourcePort: OUTSIDE_PORT }).fragment(0, 1400),
      },
      {
        name: 'a later one gets the address alone',
        where: leaving(web),
        given: outwardBegun,
        packet: outward.fragment(1400, 1400),
        verdict: 'redirect',
        becomes: masqueraded(outward).udp({ sourcePort: OUTSIDE_PORT }).fragment(1400, 1400),
      },
      {
        name: 'a first fragment from the world gets the container’s port back',
        where: arriving,
        given: outwardBegun,
        packet: inward.fragment(0, 1400),
        verdict: 'redirect',
        becomes: delivered(back.fragment(0, 1400), web),
      },
      {
        name: 'a later one from the world gets the address alone',
        where: arriving,
        given: (rig) => {
          outwardBegun(rig);
          pass(rig, arriving, inward.fragment(0, 1400));
        },
        packet: inward.fragment(1400, 1400),
        verdict: 'redirect',
        becomes: delivered(back.fragment(1400, 1400), web),
      },
      {
        name: 'fragments to the host are left to it',
        where: arriving,
        packet: inward.fragment(1400, 1400),
        verdict: 'untouched',
      },
    ],
    family,
  );
}
