/** Published ports on the wire: from outside, and all the answers. */
import assert from 'node:assert/strict';
import { CtFlag } from '../../bpf/index.ts';
import type { CtEntry } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import { arriving, delivered, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { PORT, publicationOf, publish, TCP } from './published.ts';
import type { Rig } from './rig.ts';

const LONG = Buffer.alloc(3000, 'weir');

/** The one connection there is. */
function connection(rig: Rig): CtEntry {
  const [entry, ...others] = [...rig.maps.ct.entries()].map(([, value]) => value);
  assert.ok(entry !== undefined && others.length === 0, 'there is one connection');
  return entry;
}

for (const cast of CASTS) {
  const { family, db, host, uplink, web, world, icmp, beyond } = cast;
  const { published, toUplink, call, callInside, answer } = publicationOf(cast);
  const UNREACHABLE = { type: icmp.unreachable, code: 3, id: 0, sequence: 0 } as const;
  const TIME_EXCEEDED = { type: icmp.timeExceeded, code: 0, id: 0, sequence: 0 } as const;
  const loopback = family === 'IPv4' ? '127.0.0.1' : '::1';

  const query = toUplink(world.ip).udp({ sourcePort: 5000, destinationPort: 5353 }).payload('who?');
  const queryInside = packetTo(web, world.ip).udp({ sourcePort: 5000, destinationPort: 53 }).payload('who?');
  const reply = packetFrom(web, world.ip).udp({ sourcePort: 53, destinationPort: 5000 }).payload('me');

  function publishTwice(rig: Rig): void {
    const address = family === 'IPv4' ? '0.0.0.0' : '::';
    const target = { address: web.ip, port: 80, flags: 0, id: 2 };
    rig.maps.service.set({ address, port: 9090, protocol: TCP }, target);
  }

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
          const entry = connection(rig);
          assert.deepEqual([entry.frontend, entry.frontendPort], [uplink.ip, PORT]);
          assert.ok(entry.flags & CtFlag.CT_SERVICE);
          assert.deepEqual([entry.low.ifindex, entry.high.ifindex], [0, 0], 'none of it by the fast path');
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
        packet: toUplink(beyond)
          .icmp(TIME_EXCEEDED)
          .quoting(answer.ip({ source: uplink.ip, ttl: 60 }).tcp({ sourcePort: PORT })),
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, beyond)
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
          publish(rig, web);
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
          publish(rig, web);
          publishTwice(rig);
        },
        packet: call.tcp({ destinationPort: 9090 }),
        verdict: 'redirect',
        becomes: delivered(callInside, web),
        check: (rig) => assert.equal(connection(rig).frontendPort, 9090),
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
        check: (rig) => assert.ok(connection(rig).flags & CtFlag.CT_SERVICE),
      },
    ],
    family,
  );
}
