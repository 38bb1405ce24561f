import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import type { Case } from './case.ts';
import { PEER_NETWORK, PEER_WORLD, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

/** Types of no echo and no error, and those that steer hosts and are for nobody. */
const TYPES = {
  IPv4: { ask: 13, answer: 14, steering: [5, 9, 10] },
  IPv6: { ask: 139, answer: 140, steering: [133, 137] },
} as const;

for (const { family, client, db, host, native, web, world, icmp } of CASTS) {
  const { ask, answer, steering } = TYPES[family];
  const UNKNOWN = family === 'IPv4' ? 'DROP_UNKNOWN_ICMP4_TYPE' : 'DROP_UNKNOWN_ICMP6_TYPE';
  const question = packetFrom(web, db.ip).icmp({ type: ask, id: 0 });
  const back = packetFrom(db, web.ip).icmp({ type: answer, id: 0 });
  const UNREACHABLE = { type: icmp.unreachable, code: 1, id: 0, sequence: 0 } as const;
  const unreachable = packetFrom(db, web.ip).icmp(UNREACHABLE).quoting(question);

  /** db admits messages of one type, and may say nothing itself. */
  const dbAdmits = (port: number): Parameters<typeof selecting> => [
    db.identity,
    'ingress',
    [{ peer: web.identity, protocol: icmp.protocol, port }],
  ];
  const silent = selecting(db.identity, 'egress', []).filter(
    ({ subject, direction }) => subject !== db.identity || direction === 'egress',
  );
  const oneType =
    (port: number): ((rig: Rig) => void) =>
    (rig) =>
      rig.policy([
        ...silent,
        ...selecting(...dbAdmits(port)).filter(
          ({ subject, direction }) => subject === db.identity && direction === 'ingress',
        ),
      ]);
  const passes = (name: string, packet: Packet, more: Partial<Case> = {}): Case => ({
    ...{ name, where: leaving(web), packet, verdict: 'redirect', becomes: delivered(packet, db) },
    ...more,
  });

  runCases(
    [
      passes('a message that policy names passes', question, {
        given: oneType(ask),
        check: (rig) => {
          const [key] = [...rig.maps.ct.entries()][0] ?? [];
          const ends = { low: web.ip, high: db.ip, lowPort: 0, highPort: 0, protocol: icmp.protocol };
          assert.deepEqual(key, { ...ends, highAsks: 0, message: ask });
        },
      }),
      passes('a second one rides on the first', question, {
        given: (rig) => {
          oneType(ask)(rig);
          pass(rig, leaving(web), question);
        },
        events: [],
      }),
      passes('one that nothing selects passes where everything does', question),
      {
        name: 'one of another type than policy names is refused',
        where: leaving(web),
        given: oneType(icmp.echo),
        packet: question,
        verdict: 'DROP_POLICY',
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress deny 133 rule 0 none',
          'drop 133 ingress',
        ],
      },
      {
        name: 'an echo request is another type, too',
        where: leaving(web),
        given: (rig) => {
          oneType(ask)(rig);
          pass(rig, leaving(web), question);
        },
        packet: packetFrom(web, db.ip).icmp({ id: ask }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'nothing answers a message: the other way is a flow of its own',
        where: leaving(db),
        given: (rig) => {
          oneType(ask)(rig);
          pass(rig, leaving(web), question);
        },
        packet: packetFrom(db, web.ip).icmp({ type: ask, id: 0 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'so is what is called its answer',
        where: leaving(db),
        given: (rig) => {
          oneType(ask)(rig);
          pass(rig, leaving(web), question);
        },
        packet: back,
        verdict: 'DROP_POLICY',
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
      },
      passes('which passes where policy lets it', back, {
        where: leaving(db),
        becomes: delivered(back, web),
      }),
      {
        name: 'an error about a message finds who sent it',
        where: leaving(db),
        given: (rig) => {
          oneType(ask)(rig);
          pass(rig, leaving(web), question);
        },
        packet: unreachable,
        verdict: 'redirect',
        becomes: delivered(unreachable, web),
        events: [],
      },
      {
        name: 'an error about a message that nobody sent is refused',
        where: leaving(db),
        packet: unreachable,
        verdict: 'DROP_NO_CONNECTION',
      },
      {
        name: 'an error about a message that steers is refused',
        where: leaving(db),
        packet: packetFrom(db, web.ip)
          .icmp(UNREACHABLE)
          .quoting(packetFrom(web, db.ip).icmp({ type: steering[0], id: 0 })),
        verdict: UNKNOWN,
      },
      passes(
        'a fragment of a message follows its first',
        question.payload(Buffer.alloc(64)).fragment(40, 32),
        {
          given: (rig) => {
            oneType(ask)(rig);
            pass(rig, leaving(web), question.payload(Buffer.alloc(64)).fragment(0, 40));
          },
          becomes: delivered(question.payload(Buffer.alloc(64)).fragment(40, 32), db),
          events: [],
        },
      ),
      ...steering.flatMap((type): Case[] => [
        {
          name: `type ${type} never passes between containers, whatever policy says`,
          where: leaving(web),
          given: oneType(type),
          packet: packetFrom(web, db.ip).icmp({ type }),
          verdict: family === 'IPv4' ? UNKNOWN : 'DROP_FORBIDDEN_ICMP6',
        },
        {
          name: `type ${type} does not come from the host or the world`,
          where: entering(web),
          packet: packetTo(web, host.ip).icmp({ type }),
          verdict: family === 'IPv4' ? UNKNOWN : 'DROP_FORBIDDEN_ICMP6',
        },
      ]),
      {
        name: 'the world lets messages in where policy names them',
        where: entering(client),
        given: (rig) =>
          rig.policy(
            selecting(client.identity, 'ingress', [{ peer: PEER_WORLD, protocol: icmp.protocol, port: ask }]),
          ),
        packet: packetTo(client, world.ip).icmp({ type: ask }),
        verdict: 'stack',
      },
      {
        name: 'to the world nothing would lead an answer back',
        where: leaving(web),
        packet: packetFrom(web, world.ip).icmp({ type: ask }),
        verdict: 'DROP_NAT_UNSUPPORTED',
        becomes: packetFrom(web, world.ip).icmp({ type: ask }).ip({ ttl: 63 }),
      },
      {
        name: 'to a native destination there is nothing to translate',
        where: leaving(web),
        packet: packetFrom(web, native.ip).icmp({ type: ask }),
        verdict: 'redirect',
        becomes: packetFrom(web, native.ip).icmp({ type: ask }).ip({ ttl: 63 }),
      },
      {
        name: 'a deny of one type leaves echo alone',
        where: leaving(web),
        given: (rig) =>
          rig.policy(
            selecting(db.identity, 'ingress', [
              { peer: PEER_NETWORK },
              { peer: PEER_NETWORK, protocol: icmp.protocol, port: ask, verdict: 'deny' },
            ]),
          ),
        packet: question,
        verdict: 'DROP_POLICY_DENY',
        check: (rig) => pass(rig, leaving(web), packetFrom(web, db.ip).icmp()),
      },
    ],
    family,
  );
}
