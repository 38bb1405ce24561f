/** Published ports on the wire: from outside, from other containers, from the container itself, and all the answers. */
import assert from 'node:assert/strict';
import { CtFlag } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { arriving, delivered, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { PEER_WORLD, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';
import { mapping, onePort, OUTSIDE_PORT } from './translation.ts';

const TCP = 6;
const UDP = 17;
const PORT = 8080;
const NEXT_HOP = '02:88:00:00:00:02';
const LONG = Buffer.alloc(3000, 'weir');

for (const cast of CASTS) {
  const { family, client, db, host, partner, stranger, uplink, web, webBack, world, icmp, beyond } = cast;
  const is4 = family === 'IPv4';
  const any = is4 ? '0.0.0.0' : '::';
  const loopback = is4 ? '127.0.0.1' : '::1';
  const UNREACHABLE = { type: icmp.unreachable, code: 3, id: 0, sequence: 0 } as const;
  const TIME_EXCEEDED = { type: icmp.timeExceeded, code: 0, id: 0, sequence: 0 } as const;
  const ROUTER = beyond;

  /** Port 8080 of the host leads to port 80 of a container, and port 5353 to its port 53. */
  function publish(rig: Rig, to: Role = web, address = any): void {
    for (const [port, protocol, target] of [
      [PORT, TCP, 80],
      [5353, UDP, 53],
    ] as const)
      rig.maps.service.set({ address, port, protocol }, { address: to.ip, port: target, flags: 0, id: 1 });
  }

  function publishTwice(rig: Rig): void {
    const target = { address: web.ip, port: 80, flags: 0, id: 2 };
    rig.maps.service.set({ address: any, port: 9090, protocol: TCP }, target);
  }

  const published =
    (...asked: [Parameters<typeof pass>[1], Packet][]): ((rig: Rig) => void) =>
    (rig) => {
      publish(rig);
      for (const [where, packet] of asked) pass(rig, where, packet);
    };

  const toUplink = (source: string, destination: string = uplink.ip): Packet =>
    new Packet().ethernet({ source: NEXT_HOP, destination: uplink.mac }).ip({ source, destination });

  const call = toUplink(world.ip).tcp({ sourcePort: 5000, destinationPort: PORT });
  const callInside = packetTo(web, world.ip).tcp({ sourcePort: 5000, destinationPort: 80 });
  const answer = packetFrom(web, world.ip).tcp({ sourcePort: 80, destinationPort: 5000, flags: 'SA' });
  const query = toUplink(world.ip).udp({ sourcePort: 5000, destinationPort: 5353 }).payload('who?');
  const queryInside = packetTo(web, world.ip).udp({ sourcePort: 5000, destinationPort: 53 }).payload('who?');
  const reply = packetFrom(web, world.ip).udp({ sourcePort: 53, destinationPort: 5000 }).payload('me');

  /** A packet of a container to the uplink's address. */
  const hairpin = (from: Role): Packet =>
    packetFrom(from, uplink.ip).tcp({ sourcePort: 5000, destinationPort: PORT });

  /** What it is by the time it is delivered: framed by the receiver's gateway, one hop less. */
  const reached = (from: Role, source: string = from.ip): Packet =>
    delivered(packetFrom(from, web.ip).ip({ source }).tcp({ sourcePort: 5000, destinationPort: 80 }), web);

  const backToSelf = packetFrom(web, uplink.ip).tcp({
    ...{ sourcePort: 80, destinationPort: OUTSIDE_PORT, flags: 'SA' },
  });

  runCases(
    [
      {
        name: 'who asks from outside reaches the container, under the address it has',
        where: arriving,
        given: published(),
        packet: call,
        verdict: 'redirect',
        becomes: delivered(callInside, web),
        events: ['verdict ingress allow rule 0 all', 'trace TO_ENDPOINT ingress'],
        check: (rig, { events }) => {
          assert.deepEqual(
            events.map(({ source, destination, destinationPort }) => [source, destination, destinationPort]),
            [
              [world.ip, web.ip, 80],
              [world.ip, web.ip, 80],
            ],
          );
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.deepEqual([entry?.frontend, entry?.frontendPort], [uplink.ip, PORT]);
          assert.ok((entry?.flags ?? 0) & CtFlag.CT_SERVICE);
          assert.deepEqual([entry?.low.ifindex, entry?.high.ifindex], [0, 0], 'none of it by the fast path');
        },
      },
      {
        name: 'so does a datagram',
        where: arriving,
        given: published(),
        packet: query,
        verdict: 'redirect',
        becomes: delivered(queryInside, web),
      },
      {
        name: 'and one that is not to be checked',
        where: arriving,
        given: published(),
        packet: query.udp({ checksum: 0 }),
        verdict: 'redirect',
        becomes: delivered(queryInside.udp({ checksum: 0 }), web),
      },
      {
        name: 'the answer comes from the port that was asked, untouched by masquerading',
        where: leaving(web),
        given: published([arriving, call]),
        packet: answer,
        verdict: 'redirect',
        becomes: answer.ip({ source: uplink.ip, ttl: 63 }).tcp({ sourcePort: PORT }),
        events: ['trace TO_NETWORK egress'],
        check: (rig, { events }) => {
          assert.equal([...rig.maps.nat.entries()].length, 0);
          assert.deepEqual([events[0]?.source, events[0]?.sourcePort, events[0]?.ctState], [web.ip, 80, 2]);
        },
      },
      {
        name: 'that to a datagram does',
        where: leaving(web),
        given: published([arriving, query]),
        packet: reply,
        verdict: 'redirect',
        becomes: reply.ip({ source: uplink.ip, ttl: 63 }).udp({ sourcePort: 5353 }),
      },
      {
        name: 'packets of the connection that follow go the same way',
        where: arriving,
        given: published([arriving, call], [leaving(web), answer]),
        packet: call.tcp({ flags: 'PA' }).payload('GET /'),
        verdict: 'redirect',
        becomes: delivered(callInside.tcp({ flags: 'PA' }).payload('GET /'), web),
        events: [],
      },
      {
        name: 'fragments follow their first one in',
        where: arriving,
        given: published([arriving, query.ip({ id: 5 }).payload(LONG).fragment(0, 1400)]),
        packet: query.ip({ id: 5 }).payload(LONG).fragment(1400, 1400),
        verdict: 'redirect',
        becomes: delivered(queryInside.ip({ id: 5 }).payload(LONG).fragment(1400, 1400), web),
      },
      {
        name: 'and out',
        where: leaving(web),
        given: published(
          [arriving, query],
          [leaving(web), reply.ip({ id: 6 }).payload(LONG).fragment(0, 1400)],
        ),
        packet: reply.ip({ id: 6 }).payload(LONG).fragment(1400, 1400),
        verdict: 'redirect',
        becomes: reply.ip({ id: 6 }).payload(LONG).fragment(1400, 1400).ip({ source: uplink.ip, ttl: 63 }),
      },
      {
        name: 'a router’s error about an answer finds the container',
        where: arriving,
        given: published([arriving, call], [leaving(web), answer]),
        packet: toUplink(ROUTER)
          .icmp(TIME_EXCEEDED)
          .quoting(answer.ip({ source: uplink.ip, ttl: 60 }).tcp({ sourcePort: PORT })),
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, ROUTER)
            .icmp(TIME_EXCEEDED)
            .quoting(answer.ip({ ttl: 60 })),
          web,
        ),
      },
      {
        name: 'the container’s error about a question comes from the host, and speaks of it',
        where: leaving(web),
        given: published([arriving, call]),
        packet: packetFrom(web, world.ip).icmp(UNREACHABLE).quoting(callInside),
        verdict: 'redirect',
        becomes: packetFrom(web, world.ip)
          .icmp(UNREACHABLE)
          .quoting(callInside.ip({ destination: uplink.ip }).tcp({ destinationPort: PORT }))
          .ip({ source: uplink.ip, ttl: 63 }),
      },
      {
        name: 'another port is the host’s',
        where: arriving,
        given: published(),
        packet: call.tcp({ destinationPort: 8081 }),
        verdict: 'untouched',
        events: [],
      },
      {
        name: 'the port of the other protocol is the host’s',
        where: arriving,
        given: published(),
        packet: query.udp({ destinationPort: PORT }),
        verdict: 'untouched',
      },
      {
        name: 'the port of another machine is none of ours',
        where: arriving,
        given: published(),
        packet: call.ip({ destination: world.ip }),
        verdict: 'untouched',
      },
      {
        name: 'a port of one address is no port of another',
        where: arriving,
        given: (rig) => publish(rig, web, host.ip),
        packet: call,
        verdict: 'untouched',
      },
      {
        name: 'a port of one address goes before that of all addresses',
        where: arriving,
        given: (rig) => {
          publish(rig, db);
          publish(rig, web, uplink.ip);
        },
        packet: call,
        verdict: 'redirect',
        becomes: delivered(callInside, web),
      },
      {
        name: 'a port of loopback is nobody’s outside',
        where: arriving,
        given: (rig) => publish(rig, web, loopback),
        packet: call.ip({ destination: loopback }),
        verdict: 'untouched',
      },
      {
        name: 'a port whose container has gone is dropped by name',
        where: arriving,
        given: (rig) => {
          publish(rig);
          rig.maps.endpoint.delete(web.ip);
        },
        packet: call,
        verdict: 'DROP_STALE_OR_UNROUTABLE',
      },
      {
        name: 'nobody outside has the address of a container',
        where: arriving,
        given: published(),
        packet: call.ip({ source: db.ip }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'nor that of the host',
        where: arriving,
        given: published(),
        packet: call.ip({ source: host.ip }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'policy that does not admit the world closes the port',
        where: arriving,
        given: (rig) => {
          publish(rig);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: client.identity }]));
        },
        packet: call,
        verdict: 'DROP_POLICY',
        events: ['verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
      },
      {
        name: 'and cuts what is open',
        where: leaving(web),
        given: (rig) => {
          published([arriving, call])(rig);
          rig.policy(selecting(web.identity, 'ingress', []), 8);
        },
        packet: answer,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'one that admits a range opens it to the range',
        where: arriving,
        given: (rig) => {
          publish(rig);
          rig.policy(
            selecting(web.identity, 'ingress', [{ peer: partner.identity, protocol: TCP, port: 80 }]),
          );
        },
        packet: call.ip({ source: partner.ip }),
        verdict: 'redirect',
        becomes: delivered(callInside.ip({ source: partner.ip }), web),
        events: ['verdict ingress allow rule 1 L3-L4', 'trace TO_ENDPOINT ingress'],
      },
      {
        name: 'a denial stands before the default that opens published ports',
        where: arriving,
        given: (rig) => {
          publish(rig);
          const denied = { subject: web.identity, direction: 'ingress', peer: PEER_WORLD, rule: 1 } as const;
          rig.policy([...selecting(-1, 'ingress', []), { ...denied, verdict: 'deny' }]);
        },
        packet: call,
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'a connection that policy still admits under another revision keeps its name',
        where: leaving(web),
        given: (rig) => {
          published([arriving, call])(rig);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_WORLD }]), 8);
        },
        packet: answer,
        verdict: 'redirect',
        becomes: answer.ip({ source: uplink.ip, ttl: 63 }).tcp({ sourcePort: PORT }),
        events: ['verdict ingress allow rule 1 L3-Only', 'trace TO_NETWORK egress'],
      },
      {
        name: 'what is open by its port alone is not open past it',
        where: entering(web),
        given: published([arriving, call]),
        packet: callInside,
        verdict: 'DROP_PORT_CLASH',
      },
      {
        name: 'a container of the same network reaches the port',
        where: leaving(client),
        given: published(),
        packet: hairpin(client),
        verdict: 'redirect',
        becomes: reached(client),
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 0 L3-Only',
          'trace TO_ENDPOINT egress',
        ],
      },
      {
        name: 'one of another network does, by the port alone',
        where: leaving(stranger),
        given: published(),
        packet: hairpin(stranger),
        verdict: 'redirect',
        becomes: reached(stranger),
        events: [
          'verdict egress allow rule 0 all',
          'verdict ingress allow rule 0 all',
          'trace TO_ENDPOINT egress',
        ],
      },
      {
        name: 'it does by any address of the host',
        where: leaving(stranger),
        given: published(),
        packet: hairpin(stranger).ip({ destination: host.ip }),
        verdict: 'redirect',
        becomes: reached(stranger),
      },
      {
        name: 'and gets its answer from there',
        where: leaving(web),
        given: published([leaving(stranger), hairpin(stranger)]),
        packet: packetFrom(web, stranger.ip).tcp({ sourcePort: 80, destinationPort: 5000, flags: 'SA' }),
        verdict: 'redirect',
        becomes: delivered(
          packetFrom(web, stranger.ip)
            .ip({ source: uplink.ip })
            .tcp({ sourcePort: PORT, destinationPort: 5000, flags: 'SA' }),
          stranger,
        ),
      },
      {
        name: 'not past the port',
        where: leaving(stranger),
        given: published(),
        packet: packetFrom(stranger, web.ip).tcp({ destinationPort: 80 }),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'nor on the connection that it has by the port',
        where: leaving(stranger),
        given: published([leaving(stranger), hairpin(stranger)]),
        packet: packetFrom(stranger, web.ip).tcp({ sourcePort: 5000, destinationPort: 80, flags: 'A' }),
        verdict: 'DROP_PORT_CLASH',
        events: ['drop 215 egress'],
      },
      {
        name: 'policy sees the container behind the port, whoever asks',
        where: leaving(client),
        given: (rig) => {
          publish(rig);
          rig.policy(selecting(client.identity, 'egress', [{ peer: host.identity }]));
        },
        packet: hairpin(client),
        verdict: 'DROP_POLICY',
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
      },
      {
        name: 'a port that is not published is the host’s, for containers too',
        where: leaving(client),
        given: published(),
        packet: hairpin(client).tcp({ destinationPort: 22 }),
        verdict: 'stack',
      },
      {
        name: 'a container that asks itself is asked by the host, for its kernel knows its own address',
        where: leaving(web),
        given: (rig) => {
          publish(rig);
          onePort(rig);
        },
        packet: hairpin(web),
        verdict: 'redirect',
        becomes: delivered(
          packetFrom(web, web.ip)
            .ip({ source: uplink.ip })
            .tcp({ sourcePort: OUTSIDE_PORT, destinationPort: 80 }),
          web,
        ),
        check: (rig) => {
          const [key, { expires: _, ...entry }] = mapping(rig);
          assert.deepEqual([key.remote, key.remotePort, key.local], [web.ip, 80, uplink.ip]);
          assert.deepEqual(entry, { address: web.ip, port: 5000 });
        },
      },
      {
        name: 'and answers itself through the port',
        where: leaving(web),
        given: (rig) => {
          onePort(rig);
          published([leaving(web), hairpin(web)])(rig);
        },
        packet: backToSelf,
        verdict: 'redirect',
        becomes: delivered(
          packetFrom(web, web.ip)
            .ip({ source: uplink.ip })
            .tcp({ sourcePort: PORT, destinationPort: 5000, flags: 'SA' }),
          web,
        ),
        events: ['trace TO_ENDPOINT egress'],
      },
      {
        name: 'from its other interface it does, too',
        where: leaving(webBack),
        given: (rig) => {
          publish(rig);
          onePort(rig);
        },
        packet: hairpin(webBack),
        verdict: 'redirect',
        becomes: delivered(
          packetFrom(webBack, web.ip)
            .ip({ source: uplink.ip })
            .tcp({ sourcePort: OUTSIDE_PORT, destinationPort: 80 }),
          web,
        ),
      },
      {
        name: 'nobody outside answers in its place',
        where: arriving,
        given: (rig) => {
          onePort(rig);
          published([leaving(web), hairpin(web)])(rig);
        },
        packet: toUplink(web.ip).tcp({ sourcePort: 80, destinationPort: OUTSIDE_PORT, flags: 'SA' }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'one client port asks one container under one name',
        where: arriving,
        given: (rig) => {
          published([arriving, call])(rig);
          publishTwice(rig);
        },
        packet: call.tcp({ destinationPort: 9090 }),
        verdict: 'DROP_PORT_CLASH',
      },
      {
        name: 'under another once the first connection is over',
        where: arriving,
        given: (rig) => {
          published(
            [arriving, call],
            [leaving(web), answer],
            [arriving, call.tcp({ flags: 'FA' })],
            [leaving(web), answer.tcp({ flags: 'FA' })],
          )(rig);
          publish(rig);
          publishTwice(rig);
        },
        packet: call.tcp({ destinationPort: 9090 }),
        verdict: 'redirect',
        becomes: delivered(callInside, web),
        check: (rig) => {
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.equal(entry?.frontendPort, 9090);
        },
      },
      {
        name: 'a connection whose entry was lost is found again by the one who asked',
        where: arriving,
        given: (rig) => {
          published([arriving, call], [leaving(web), answer])(rig);
          for (const [key] of [...rig.maps.ct.entries()]) rig.maps.ct.delete(key);
          pass(rig, leaving(web), answer.tcp({ flags: 'PA' }).payload('page'));
        },
        packet: call.tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: delivered(callInside.tcp({ flags: 'A' }), web),
        check: (rig) => {
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.ok((entry?.flags ?? 0) & CtFlag.CT_SERVICE);
        },
      },
    ],
    family,
  );
}
