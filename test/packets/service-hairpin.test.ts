/** Published ports as containers reach them: those of others, and their own. */
import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { arriving, delivered, leaving, packetFrom, runCases } from './case.ts';
import { PORT, publicationOf, publish } from './published.ts';
import type { Rig } from './rig.ts';
import { mapping, onePort, OUTSIDE_PORT } from './translation.ts';

for (const cast of CASTS) {
  const { family, client, host, stranger, uplink, web, webBack } = cast;
  const { published, toUplink, hairpin } = publicationOf(cast);

  /** What it is by the time it is delivered: framed by the receiver's gateway, one hop less. */
  const reached = (from: Role): Packet =>
    delivered(packetFrom(from, web.ip).tcp({ sourcePort: 5000, destinationPort: 80 }), web);

  /** What a container that asks itself gets: the host's question. */
  const askedByHost = (from: Role): Packet => {
    const question = packetFrom(from, web.ip).ip({ source: uplink.ip });
    return delivered(question.tcp({ sourcePort: OUTSIDE_PORT, destinationPort: 80 }), web);
  };

  /** What who asked by the port gets: an answer from there. */
  const answered = (to: Role): Packet => {
    const answer = packetFrom(web, to.ip).ip({ source: uplink.ip });
    return delivered(answer.tcp({ sourcePort: PORT, destinationPort: 5000, flags: 'SA' }), to);
  };

  const answerToHost = { sourcePort: 80, destinationPort: OUTSIDE_PORT, flags: 'SA' } as const;

  function publishedOnOnePort(rig: Rig): void {
    onePort(rig);
    publish(rig, web);
  }

  function askedItself(rig: Rig): void {
    onePort(rig);
    published([leaving(web), hairpin(web)])(rig);
  }

  runCases(
    [
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
        becomes: answered(stranger),
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
        name: 'a port that is not published is the host’s, for containers too',
        where: leaving(client),
        given: published(),
        packet: hairpin(client).tcp({ destinationPort: 22 }),
        verdict: 'stack',
      },
      {
        name: 'a container that asks itself is asked by the host, for its kernel knows its own address',
        where: leaving(web),
        given: publishedOnOnePort,
        packet: hairpin(web),
        verdict: 'redirect',
        becomes: askedByHost(web),
        check: (rig) => {
          const [key, { expires: _, ...entry }] = mapping(rig);
          assert.deepEqual([key.remote, key.remotePort, key.local], [web.ip, 80, uplink.ip]);
          assert.deepEqual(entry, { address: web.ip, port: 5000 });
        },
      },
      {
        name: 'and answers itself through the port',
        where: leaving(web),
        given: askedItself,
        packet: packetFrom(web, uplink.ip).tcp(answerToHost),
        verdict: 'redirect',
        becomes: answered(web),
        events: ['trace TO_ENDPOINT egress'],
      },
      {
        name: 'from its other interface it does, too',
        where: leaving(webBack),
        given: publishedOnOnePort,
        packet: hairpin(webBack),
        verdict: 'redirect',
        becomes: askedByHost(webBack),
      },
      {
        name: 'nobody outside answers in its place',
        where: arriving,
        given: askedItself,
        packet: toUplink(web.ip).tcp(answerToHost),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
    ],
    family,
  );
}
