import assert from 'node:assert/strict';
import { EndpointFlag } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import { delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { isolation, PEER_ANY, PEER_NETWORK, PEER_WORLD, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

for (const { family, client, db, host, partner, stranger, web, world, icmp } of CASTS) {
  const TCP = 6;
  const UDP = 17;

  const toDb = packetFrom(web, db.ip).tcp({ destinationPort: 80 });

  /** db's ingress policy replaced by these entries. */
  const dbAdmits =
    (...entries: Parameters<typeof selecting>[2]) =>
    (rig: Rig) =>
      rig.policy(selecting(db.identity, 'ingress', entries));
  /** web's egress policy replaced by these entries. */
  const webMay =
    (...entries: Parameters<typeof selecting>[2]) =>
    (rig: Rig) =>
      rig.policy(selecting(web.identity, 'egress', entries));

  const EGRESS_DEFAULT = 'verdict egress allow rule 0 L3-Only';
  const noConnection = (rig: Rig): void => assert.deepEqual([...rig.maps.ct.entries()], []);

  runCases(
    [
      {
        name: 'two of one network may talk while no policy selects them',
        where: leaving(web),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 0 L3-Only', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'two of different networks may not',
        where: leaving(web),
        packet: packetFrom(web, stranger.ip).tcp(),
        verdict: 'DROP_POLICY',
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
        check: noConnection,
      },
      {
        name: 'two that share only the eighth of their spaces are of one network',
        where: leaving(web),
        given: (rig) => {
          rig.place(web, { spaces: [21, 22, 23, 24, 25, 26, 27, 28] });
          rig.place(stranger, { spaces: [31, 32, 33, 34, 35, 36, 37, 28] });
        },
        packet: packetFrom(web, stranger.ip).tcp(),
        verdict: 'redirect',
        becomes: delivered(packetFrom(web, stranger.ip).tcp(), stranger),
      },
      {
        name: 'eight spaces each and none in common are different networks',
        where: leaving(web),
        given: (rig) => {
          rig.place(web, { spaces: [21, 22, 23, 24, 25, 26, 27, 28] });
          rig.place(stranger, { spaces: [0x1500, 0x1600, 0x1700, 0x2115, 0x1521, 37, 38, 39] });
        },
        packet: packetFrom(web, stranger.ip).tcp(),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'an identity without any entry is denied everything',
        where: leaving(web),
        given: (rig) => rig.policy(isolation([db.identity])),
        packet: toDb,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'entries of another generation do not count',
        where: leaving(web),
        given: (rig) => rig.configure({ generation: rig.generation + 1 }),
        packet: toDb,
        verdict: 'DROP_POLICY',
      },
      {
        name: "the receiver's policy counts as well as the sender's",
        where: leaving(web),
        given: dbAdmits({ peer: client.identity }),
        packet: toDb,
        verdict: 'DROP_POLICY',
        events: [EGRESS_DEFAULT, 'verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
        check: noConnection,
      },
      {
        name: 'an identity may be named for every port',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 L3-Only', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'an identity may be named for one port',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: TCP, port: 80 }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 L3-L4', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'and may then not use the next port',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: TCP, port: 80 }),
        packet: toDb.tcp({ destinationPort: 81 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'nor the same port of another protocol',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: TCP, port: 80 }),
        packet: packetFrom(web, db.ip).udp({ destinationPort: 80 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'a port range is met at its last port',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: TCP, port: 8080, portBits: 13 }),
        packet: toDb.tcp({ destinationPort: 8087 }),
        verdict: 'redirect',
        becomes: delivered(toDb.tcp({ destinationPort: 8087 }), db),
      },
      {
        name: 'and missed behind it',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: TCP, port: 8080, portBits: 13 }),
        packet: toDb.tcp({ destinationPort: 8088 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'a protocol may be named without ports',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: UDP }),
        packet: packetFrom(web, db.ip).udp(),
        verdict: 'redirect',
        becomes: delivered(packetFrom(web, db.ip).udp(), db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 L3-Proto', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'anyone may be named for one port',
        where: leaving(web),
        given: dbAdmits({ peer: PEER_ANY, protocol: TCP, port: 80 }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 L4-Only', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'anyone may be named for a protocol',
        where: leaving(web),
        given: dbAdmits({ peer: PEER_ANY, protocol: TCP }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 Proto-Only', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'anyone may be named for everything',
        where: leaving(web),
        given: dbAdmits({ peer: PEER_ANY }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
        events: [EGRESS_DEFAULT, 'verdict ingress allow rule 1 all', 'trace TO_ENDPOINT egress'],
      },
      {
        name: 'a deny of the identity beats an allow of anyone',
        where: leaving(web),
        given: dbAdmits({ peer: PEER_ANY }, { peer: web.identity, verdict: 'deny' }),
        packet: toDb,
        verdict: 'DROP_POLICY_DENY',
        events: [EGRESS_DEFAULT, 'verdict ingress deny 181 rule 2 L3-Only', 'drop 181 ingress'],
        check: noConnection,
      },
      {
        name: 'a deny of anyone beats an allow of the identity',
        where: leaving(web),
        given: dbAdmits(
          { peer: web.identity, protocol: TCP, port: 80 },
          { peer: PEER_ANY, protocol: TCP, verdict: 'deny' },
        ),
        packet: toDb,
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'a deny of the network beats an allow of the identity',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity }, { peer: PEER_NETWORK, verdict: 'deny' }),
        packet: toDb,
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'an egress deny is told before the receiver is asked',
        where: leaving(web),
        given: webMay({ peer: db.identity, verdict: 'deny' }),
        packet: toDb,
        verdict: 'DROP_POLICY_DENY',
        events: ['verdict egress deny 181 rule 1 L3-Only', 'drop 181 egress'],
      },
      {
        name: 'an echo request is judged by its type',
        where: leaving(web),
        given: dbAdmits({ peer: web.identity, protocol: icmp.protocol, port: icmp.echo }),
        packet: packetFrom(web, db.ip).icmp(),
        verdict: 'redirect',
        becomes: delivered(packetFrom(web, db.ip).icmp(), db),
      },
      {
        name: 'an identity that is not known yet may not send',
        where: leaving(web),
        given: (rig) => rig.place(web, { identity: 0 }),
        packet: toDb,
        verdict: 'DROP_INVALID_IDENTITY',
        events: ['drop 171 egress'],
      },
      {
        name: 'nor be sent to',
        where: leaving(web),
        given: (rig) => rig.place(db, { identity: 0 }),
        packet: toDb,
        verdict: 'DROP_INVALID_IDENTITY',
      },
      {
        name: 'an endpoint without a number counts as not known, never as outside of policy',
        where: leaving(web),
        given: (rig) => rig.place(db, { id: 0 }),
        packet: toDb,
        verdict: 'DROP_INVALID_IDENTITY',
      },
      {
        name: 'a container whose networks are internal may not reach the world',
        where: leaving(web),
        given: (rig) => rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD }),
        packet: packetFrom(web, world.ip).tcp(),
        verdict: 'DROP_INTERNAL_NETWORK',
        events: ['drop 211 egress'],
      },
      {
        name: 'nor a range that policy names, even where policy allows it',
        where: leaving(web),
        given: (rig) => {
          rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD });
          webMay({ peer: PEER_ANY })(rig);
        },
        packet: packetFrom(web, partner.ip).tcp(),
        verdict: 'DROP_INTERNAL_NETWORK',
      },
      {
        name: 'and the world may not reach it, even where policy allows it',
        where: entering(web),
        given: (rig) => {
          rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD });
          rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_ANY }]));
        },
        packet: packetTo(web, world.ip).tcp(),
        verdict: 'DROP_INTERNAL_NETWORK',
      },
      {
        name: 'a connection to the world ends when it becomes internal',
        where: leaving(web),
        given: (rig) => {
          pass(rig, leaving(web), packetFrom(web, world.ip).tcp());
          rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD });
        },
        packet: packetFrom(web, world.ip).tcp({ flags: 'A' }),
        verdict: 'DROP_INTERNAL_NETWORK',
      },
      {
        name: 'it still reaches its own network',
        where: leaving(web),
        given: (rig) => rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD }),
        packet: toDb,
        verdict: 'redirect',
        becomes: delivered(toDb, db),
      },
      {
        name: 'the world may not come in while no policy says so',
        where: entering(web),
        packet: packetTo(web, world.ip).tcp(),
        verdict: 'DROP_POLICY',
        events: ['verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
      },
      {
        name: 'a range that policy names is of the world too',
        where: entering(web),
        given: (rig) => rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_WORLD }])),
        packet: packetTo(web, partner.ip).tcp(),
        verdict: 'stack',
        events: ['verdict ingress allow rule 1 L3-Only', 'trace TO_ENDPOINT ingress'],
      },
      {
        name: 'and may be denied by itself',
        where: entering(web),
        given: (rig) =>
          rig.policy(
            selecting(web.identity, 'ingress', [
              { peer: PEER_WORLD },
              { peer: partner.identity, verdict: 'deny' },
            ]),
          ),
        packet: packetTo(web, partner.ip).tcp(),
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'what is open for published ports is not there for what came in by none',
        where: leaving(web),
        given: dbAdmits({ peer: PEER_ANY, verdict: 'published' }),
        packet: toDb,
        verdict: 'DROP_POLICY',
        events: [EGRESS_DEFAULT, 'verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
      },
      {
        name: 'the host may be denied like any peer',
        where: entering(web),
        given: (rig) =>
          rig.policy(selecting(web.identity, 'ingress', [{ peer: host.identity, verdict: 'deny' }])),
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_POLICY_DENY',
      },
    ],
    family,
  );
}
