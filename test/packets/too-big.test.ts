import { CASTS } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { arriving, entering, leaving, packetFrom, pass, runCases } from './case.ts';
import type { Case } from './case.ts';
import { publicationOf } from './published.ts';
import type { Rig } from './rig.ts';
import { masqueraded, onePort, OUTSIDE_PORT } from './translation.ts';

/** What the way out takes, which is less than what containers send. */
const MTU = 1300;
const SINCE: NonNullable<Case['since']> = ['5.12', 'the size in the answer of bpf_fib_lookup'];

for (const cast of CASTS) {
  const { family, uplink, web, world, icmp } = cast;
  const { published, call, answer } = publicationOf(cast);
  const datagram = packetFrom(web, world.ip).udp().payload(Buffer.alloc(1400));
  const TYPE = family === 'IPv4' ? { type: icmp.unreachable, code: 4 } : { type: 2, code: 0 };
  const narrow = (rig: Rig): void => {
    rig.setMtu(uplink.name, MTU);
    onePort(rig);
  };
  const wide = (rig: Rig): void => rig.setMtu(uplink.name, 1500);

  /** What the gateway says of a packet. */
  function tooBig(packet: Packet): Packet {
    const framed = new Packet().ethernet({ source: web.gatewayMac, destination: web.mac });
    return framed
      .ip({ source: web.gateway, destination: web.ip, id: 0 })
      .icmp({ ...TYPE, id: 0, sequence: MTU })
      .quoting(packet);
  }

  function refused(name: string, packet: Packet, more: Partial<Case> = {}): Case {
    const verdict = 'DROP_FRAGMENTATION_NEEDED';
    return { name, where: leaving(web), given: narrow, packet, verdict, check: wide, ...more };
  }
  const answered = { isAnswered: true, since: SINCE } as const;
  const longAnswer = answer.tcp({ flags: 'A' }).payload(Buffer.alloc(1300));
  const segment = packetFrom(web, world.ip).tcp({ flags: 'A' }).payload(Buffer.alloc(1300));

  runCases(
    [
      refused('a datagram too large for the uplink is refused, and its sender told', datagram, {
        ...answered,
        becomes: tooBig(datagram),
        events: ['verdict egress allow rule 0 L3-Only', 'drop 136 egress'],
      }),
      refused('so is a segment', segment, { ...answered, becomes: tooBig(segment) }),
      refused('so is the answer of a published port, as the container sent it', longAnswer, {
        ...answered,
        given: (rig) => {
          narrow(rig);
          published([arriving, call])(rig);
        },
        becomes: tooBig(longAnswer),
      }),
      refused('and an echo request', packetFrom(web, world.ip).icmp().payload(Buffer.alloc(1400)), {
        ...answered,
        becomes: tooBig(packetFrom(web, world.ip).icmp().payload(Buffer.alloc(1400))),
      }),
      {
        name: 'what it is told reaches the sender',
        where: entering(web),
        given: (rig) => {
          narrow(rig);
          rig.send('from_container', web.name, datagram.bytes());
        },
        packet: tooBig(datagram),
        verdict: 'stack',
        events: [],
        check: wide,
      },
      refused('segments that are too large are, however long the frame', segment, {
        ...answered,
        where: { ...leaving(web), segmentSize: 1300 },
        becomes: tooBig(segment),
      }),
      {
        name: 'segments that fit pass',
        where: { ...leaving(web), segmentSize: 1200 },
        given: narrow,
        packet: segment,
        verdict: 'redirect',
        becomes: masqueraded(segment).tcp({ sourcePort: OUTSIDE_PORT }),
        check: wide,
      },
      refused('a fragment is not answered', datagram.payload(Buffer.alloc(1600)).fragment(0, 1400)),
      refused(
        'nor is an error',
        packetFrom(web, world.ip)
          .icmp({ type: icmp.unreachable, code: 3, id: 0, sequence: 0 })
          .payload(
            Buffer.concat([
              packetFrom(web, world.ip).ip({ source: world.ip, destination: web.ip }).udp().datagram(),
              Buffer.alloc(1300),
            ]),
          ),
        {
          given: (rig) => {
            narrow(rig);
            pass(
              rig,
              leaving(web),
              packetFrom(web, world.ip).udp({ sourcePort: 53, destinationPort: 40000 }),
            );
          },
        },
      ),
      refused('nor does anybody answer where there is no gateway', datagram, {
        given: (rig) => {
          narrow(rig);
          rig.place(web, {}, { gateway4: '0.0.0.0', gateway6: '::' });
        },
      }),
    ],
    family,
  );
}
