import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import { delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { isolation, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

for (const { family, client, db, host, web, world, beyond, headerSize, icmp } of CASTS) {
  const ask = packetFrom(web, db.ip).icmp({ id: 7 });
  const answer = packetFrom(db, web.ip).icmp({ type: icmp.echoReply, id: 7 });
  const datagram = packetFrom(web, db.ip).udp({ destinationPort: 9 });
  const segment = packetFrom(web, db.ip).tcp({ flags: 'A' });
  const UNREACHABLE = { type: icmp.unreachable, code: 3, id: 0, sequence: 0 } as const;
  const unreachable = packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(datagram);
  const problem = packetFrom(db, web.ip)
    .icmp({ ...UNREACHABLE, type: icmp.parameterProblem, code: 0 })
    .quoting(segment);

  /** db may ask nobody; web may ask it. */
  const oneWay = selecting(db.identity, 'egress', []);
  const allowed = (rig: Rig): void => rig.policy(oneWay);
  const asked = (rig: Rig): void => {
    rig.policy(oneWay);
    pass(rig, leaving(web), ask);
  };
  const sent = (rig: Rig): void => {
    rig.policy(oneWay);
    pass(rig, leaving(web), datagram);
  };
  /** Then policy closes db, under a new revision. */
  const cutAfter =
    (given: (rig: Rig) => void) =>
    (rig: Rig): void => {
      given(rig);
      rig.policy(selecting(db.identity, 'ingress', []), 8);
    };

  runCases(
    [
      {
        name: 'an echo request opens a connection',
        where: leaving(web),
        given: allowed,
        packet: ask,
        verdict: 'redirect',
        becomes: delivered(ask, db),
        check: (rig) => {
          const [key] = [...rig.maps.ct.entries()][0] ?? [];
          assert.deepEqual(key, {
            low: web.ip,
            high: db.ip,
            lowPort: 7,
            highPort: 0,
            protocol: icmp.protocol,
            highAsks: 0,
            message: 0,
          });
        },
      },
      {
        name: 'its answer passes on the connection',
        where: leaving(db),
        given: asked,
        packet: answer,
        verdict: 'redirect',
        becomes: delivered(answer, web),
        events: ['trace TO_ENDPOINT egress'],
        check: (_, { events }) => assert.equal(events[0]?.ctState, 2),
      },
      {
        name: 'an answer with another id does not',
        where: leaving(db),
        given: asked,
        packet: answer.icmp({ id: 8 }),
        verdict: 'DROP_NO_CONNECTION',
        events: ['drop 163 egress'],
      },
      {
        name: 'an answer that nobody asked for is refused, whatever policy says',
        where: leaving(web),
        packet: packetFrom(web, db.ip).icmp({ type: icmp.echoReply }),
        verdict: 'DROP_NO_CONNECTION',
      },
      {
        name: 'who was asked may not ask back under the same id',
        where: leaving(db),
        given: asked,
        packet: answer.icmp({ type: icmp.echo }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'not even under id 0, where both sides look the same',
        where: leaving(db),
        given: (rig) => {
          allowed(rig);
          pass(rig, leaving(web), ask.icmp({ id: 0 }));
        },
        packet: answer.icmp({ type: icmp.echo, id: 0 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'two that ask each other under one id have two connections',
        where: leaving(db),
        given: (rig) => pass(rig, leaving(web), ask),
        packet: answer.icmp({ type: icmp.echo }),
        verdict: 'redirect',
        becomes: delivered(answer.icmp({ type: icmp.echo }), web),
        check: (rig) => assert.equal([...rig.maps.ct.entries()].length, 2),
      },
      {
        name: 'a change of policy is applied to answers on the question',
        where: leaving(db),
        given: cutAfter(asked),
        packet: answer,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'an error about a datagram passes as related to it',
        where: leaving(db),
        given: sent,
        packet: unreachable,
        verdict: 'redirect',
        becomes: delivered(unreachable, web),
        events: [],
        check: (rig) => {
          const [, entry] = [...rig.maps.ct.entries()][0] ?? [];
          assert.equal(entry?.flags, 0, 'an error is no answer');
        },
      },
      {
        name: 'an error about a segment does',
        where: leaving(db),
        given: (rig) => {
          allowed(rig);
          pass(rig, leaving(web), segment);
        },
        packet: problem,
        verdict: 'redirect',
        becomes: delivered(problem, web),
      },
      {
        name: 'an error about an SCTP packet does',
        where: leaving(db),
        given: (rig) => pass(rig, leaving(web), packetFrom(web, db.ip).sctp()),
        packet: packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(packetFrom(web, db.ip).sctp()),
        verdict: 'redirect',
        becomes: delivered(
          packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(packetFrom(web, db.ip).sctp()),
          web,
        ),
      },
      {
        name: 'an error about an echo request does',
        where: leaving(db),
        given: asked,
        packet: packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(ask),
        verdict: 'redirect',
        becomes: delivered(packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(ask), web),
      },
      {
        name: 'an error about an answer passes to the answerer',
        where: leaving(web),
        given: asked,
        packet: packetFrom(web, db.ip).icmp(UNREACHABLE).quoting(answer),
        verdict: 'redirect',
        becomes: delivered(packetFrom(web, db.ip).icmp(UNREACHABLE).quoting(answer), db),
      },
      {
        name: 'an error about a connection that is not there is refused, whatever policy says',
        where: leaving(db),
        packet: unreachable,
        verdict: 'DROP_NO_CONNECTION',
        events: ['drop 163 egress'],
      },
      {
        name: 'an error about a connection that policy has cut is refused',
        where: leaving(db),
        given: cutAfter(sent),
        packet: unreachable,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'one about a connection that policy allows anew passes and changes nothing else',
        where: leaving(db),
        given: (rig) => {
          sent(rig);
          rig.policy(isolation(), 8);
        },
        packet: unreachable,
        verdict: 'redirect',
        becomes: delivered(unreachable, web),
        check: (rig) => {
          const [, entry] = [...rig.maps.ct.entries()][0] ?? [];
          assert.deepEqual([entry?.flags, entry?.generation, entry?.sourceEndpoint], [0, 8, web.id]);
        },
      },
      {
        name: 'an error about IGMP is refused',
        where: leaving(db),
        packet: packetFrom(db, web.ip)
          .icmp(UNREACHABLE)
          .quoting(packetFrom(web, db.ip).ip({ protocol: 2 }).payload('12345678')),
        verdict: 'DROP_UNKNOWN_L4',
      },
      {
        name: 'an error about an error is refused',
        where: leaving(web),
        packet: packetFrom(web, db.ip).icmp(UNREACHABLE).quoting(unreachable),
        verdict: family === 'IPv4' ? 'DROP_UNKNOWN_ICMP4_TYPE' : 'DROP_UNKNOWN_ICMP6_TYPE',
      },
      {
        name: 'an error that quotes less than a header and eight bytes is refused',
        where: leaving(db),
        packet: packetFrom(db, web.ip)
          .icmp(UNREACHABLE)
          .payload(datagram.datagram().subarray(0, headerSize + 7)),
        verdict: 'DROP_CT_INVALID_HEADER',
      },
      {
        name: 'an error that quotes a header with options is refused',
        where: leaving(db),
        packet: packetFrom(db, web.ip)
          .icmp(UNREACHABLE)
          .quoting(datagram.ip({ options: Buffer.alloc(8) })),
        verdict: family === 'IPv4' ? 'DROP_CT_INVALID_HEADER' : 'DROP_UNKNOWN_L4',
      },
      {
        name: 'an error that quotes a later fragment is refused',
        where: leaving(db),
        packet: packetFrom(db, web.ip)
          .icmp(UNREACHABLE)
          .quoting(datagram.payload(Buffer.alloc(64)).fragment(16, 56)),
        verdict: 'DROP_CT_INVALID_HEADER',
      },
      {
        name: 'the host tells a container that a port is closed',
        where: entering(web),
        given: (rig) => pass(rig, leaving(web), packetFrom(web, host.ip).udp()),
        packet: packetTo(web, host.ip).icmp(UNREACHABLE).quoting(packetFrom(web, host.ip).udp()),
        verdict: 'stack',
        events: [],
      },
      {
        name: 'a router of the world tells a container that its time is up, by the host’s stack',
        where: entering(client),
        given: (rig) => pass(rig, leaving(client), packetFrom(client, world.ip).udp()),
        packet: packetTo(client, beyond)
          .icmp({ type: icmp.timeExceeded, code: 0, id: 0, sequence: 0 })
          .quoting(packetFrom(client, world.ip).udp()),
        verdict: 'stack',
      },
    ],
    family,
  );
}
