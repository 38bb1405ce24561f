import { CASTS, NO_ONE } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import type { Case } from './case.ts';

for (const { family, db, host, nobody, stranger, web, webBack, world, icmp, noOne, group } of CASTS) {
  const toDb = packetFrom(web, db.ip).tcp();
  /** db refuses web's datagram, as an ICMP error; sent by web, it is a lie. */
  const datagram = packetFrom(web, db.ip).udp();

  const NOT_ITS_OWN: [name: string, source: string][] = [
    ['an address that is nobody’s is refused', nobody.ip],
    ['an address of the world is refused', world.ip],
    ['no address at all is refused', noOne],
  ];

  runCases(
    [
      {
        name: 'the address of another container is refused',
        where: leaving(web),
        packet: toDb.ip({ source: stranger.ip }),
        verdict: 'DROP_INVALID_SOURCE_IP',
        events: ['drop 132 egress'],
      },
      ...NOT_ITS_OWN.map(([name, source]): Case => ({
        name,
        where: leaving(web),
        packet: toDb.ip({ source }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      })),
      {
        name: 'not even from a device that has none',
        where: leaving(web),
        given: (rig) => {
          rig.place(web, {}, { ip4: NO_ONE, ip6: '::' });
        },
        packet: toDb.ip({ source: noOne }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'the MAC of another container is refused',
        where: leaving(web),
        packet: toDb.ethernet({ source: db.mac }),
        verdict: 'DROP_INVALID_SOURCE_MAC',
        events: ['drop 130 egress'],
      },
      {
        name: 'a MAC that differs in its last bit is refused',
        where: leaving(web),
        packet: toDb.ethernet({ source: '02:42:0a:d2:00:0b' }),
        verdict: 'DROP_INVALID_SOURCE_MAC',
      },
      {
        name: 'a frame that is not for the gateway is refused',
        where: leaving(web),
        packet: toDb.ethernet({ destination: db.mac }),
        verdict: 'DROP_INVALID_DESTINATION_MAC',
        events: ['drop 131 egress'],
      },
      {
        name: 'a broadcast frame is refused',
        where: leaving(web),
        packet: toDb.ethernet({ destination: 'ff:ff:ff:ff:ff:ff' }),
        verdict: 'DROP_INVALID_DESTINATION_MAC',
      },
      {
        name: 'an address of the same container may leave by its other interface',
        where: leaving(web),
        packet: toDb.ip({ source: webBack.ip }),
        verdict: 'redirect',
        becomes: delivered(toDb.ip({ source: webBack.ip }), db),
        check: (_, { events }) => {
          if (events[0]?.sourceEndpoint !== webBack.id)
            throw new Error('the event names the interface, not the address');
        },
      },
      {
        name: 'containers that nobody has told apart yet are not one',
        where: leaving(web),
        given: (rig) => {
          rig.place(web, { container: 0 });
          rig.place(db, { container: 0 });
        },
        packet: toDb.ip({ source: db.ip, destination: web.ip }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'an ICMP error about a packet that the sender never got is refused',
        where: leaving(web),
        packet: packetFrom(web, web.ip)
          .icmp({ type: icmp.unreachable, code: 3, id: 0, sequence: 0 })
          .quoting(datagram),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'an ICMP error to somebody else than it quotes is invalid',
        where: leaving(db),
        given: (rig) => pass(rig, leaving(web), datagram),
        packet: packetFrom(db, stranger.ip)
          .icmp({ type: icmp.unreachable, code: 3, id: 0, sequence: 0 })
          .quoting(datagram),
        verdict: 'DROP_INVALID',
      },
      {
        name: 'what comes in by the host’s stack may not have the address of a container',
        where: entering(web),
        packet: packetTo(web, db.ip).tcp(),
        verdict: 'DROP_INVALID_SOURCE_IP',
        events: ['drop 132 ingress'],
      },
      {
        name: 'nor one of the cluster that is nobody’s',
        where: entering(web),
        packet: packetTo(web, nobody.ip).tcp(),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'nor may an ICMP error come from one',
        where: entering(web),
        packet: packetTo(web, db.ip)
          .icmp({ type: icmp.timeExceeded, code: 0, id: 0, sequence: 0 })
          .quoting(packetFrom(web, world.ip).udp()),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'what is not for this container is refused on its way in',
        where: entering(web),
        packet: packetTo(web, host.ip).ip({ destination: db.ip }).tcp(),
        verdict: 'DROP_UNKNOWN_L3_TARGET',
        events: ['drop 150 ingress'],
      },
      {
        name: 'multicast of the host does not get in',
        where: entering(web),
        packet: packetTo(web, host.ip).ip({ destination: group }).udp(),
        verdict: family === 'IPv4' ? 'DROP_UNKNOWN_L3_TARGET' : 'DROP_MULTICAST',
      },
      {
        name: 'the container’s address on its other interface may be reached by this one',
        where: entering(web),
        packet: packetTo(web, host.ip).ip({ destination: webBack.ip }).tcp(),
        verdict: 'stack',
      },
      {
        name: 'a device that nobody has told of sends nothing',
        where: { program: 'from_container', device: 'bridge' },
        packet: toDb,
        verdict: 'DROP_NO_CONFIGURATION',
        events: ['drop 165 egress'],
      },
      {
        name: 'and gets nothing',
        where: { program: 'to_container', device: 'bridge' },
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_NO_CONFIGURATION',
        events: ['drop 165 ingress'],
      },
      {
        name: 'not even ARP',
        where: { program: 'from_container', device: 'bridge' },
        packet: new Packet().arp({ targetIp: web.gateway }),
        verdict: 'DROP_NO_CONFIGURATION',
      },
    ],
    family,
  );
}
