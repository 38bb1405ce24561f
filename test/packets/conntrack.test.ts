import assert from 'node:assert/strict';
import { CtFlag, TraceLevel } from '../../bpf/index.ts';
import type { CtEntry, CtKey } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { delivered, leaving, packetFrom, pass, runCases } from './case.ts';
import type { Case } from './case.ts';
import { isolation, PEER_NETWORK, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

for (const { family, client, db, web } of CASTS) {
  const TCP = 6;
  const PORTS = { sourcePort: 40000, destinationPort: 80 };
  const syn = packetFrom(web, db.ip).tcp(PORTS);
  const ack = syn.tcp({ flags: 'A' });
  const answer = packetFrom(db, web.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' });
  const data = answer.tcp({ flags: 'PA' }).payload('hello');
  const question = packetFrom(web, db.ip).udp({ destinationPort: 53 });
  const response = packetFrom(db, web.ip).udp({ sourcePort: 53, destinationPort: 40000 });
  const tick = (): number => Number(process.hrtime.bigint() >> 30n);

  /** web may ask db at port 80, and db may ask nobody. */
  const oneWay = [
    ...selecting(db.identity, 'ingress', [{ peer: web.identity, protocol: TCP, port: 80 }]).filter(
      (entry) => entry.subject !== db.identity || entry.direction !== 'egress',
    ),
  ];
  const denied = selecting(db.identity, 'ingress', []);

  function only(rig: Rig): [CtKey, CtEntry] {
    const entries = [...rig.maps.ct.entries()];
    assert.equal(entries.length, 1, `${entries.length} connections where there should be one`);
    return entries[0] as [CtKey, CtEntry];
  }

  /** Changes the one entry there is. */
  function alter(rig: Rig, change: Partial<CtEntry>): void {
    const [key, entry] = only(rig);
    rig.maps.ct.set(key, { ...entry, ...change });
  }

  function lives(rig: Rig, ticks: number): void {
    const [, { expires }] = only(rig);
    assert.ok(Math.abs(expires - tick() - ticks) <= 1, `expires in ${expires - tick()} ticks, not ${ticks}`);
  }

  function flagsAre(rig: Rig, flags: number): void {
    assert.equal(only(rig)[1].flags & ~CtFlag.CT_HIGH_ASKED, flags);
  }

  /** web has asked db, and db has answered, while only that was allowed. */
  function connected(rig: Rig): void {
    rig.policy(oneWay);
    pass(rig, leaving(web), syn);
    pass(rig, leaving(db), answer);
  }

  const after =
    (...more: [Role, Packet][]): ((rig: Rig) => void) =>
    (rig) => {
      connected(rig);
      for (const [role, packet] of more) pass(rig, leaving(role), packet);
    };

  type Sending = Partial<Case> & { packet: Packet };

  /** A packet of web to db, or back, that passes unless something else is said. */
  function sending([from, to]: [Role, Role], name: string, more: Sending): Case {
    const passing = { verdict: 'redirect', becomes: delivered(more.packet, to) } as const;
    return {
      name,
      where: leaving(from),
      ...(more.verdict === undefined ? passing : { verdict: more.verdict }),
      ...more,
    };
  }
  const toDb = (name: string, more: Sending): Case => sending([web, db], name, more);
  const toWeb = (name: string, more: Sending): Case => sending([db, web], name, more);
  const refusal = { verdict: 'DROP_POLICY' } as const;

  runCases(
    [
      toDb('a connection is written down with who asked whom, under which policy', {
        packet: syn,
        check: (rig) => {
          const [key, entry] = only(rig);
          assert.deepEqual(key, {
            low: web.ip,
            high: db.ip,
            lowPort: 40000,
            highPort: 80,
            protocol: TCP,
            highAsks: 0,
            message: 0,
          });
          const { expires, stamp, epoch, ...rest } = entry;
          assert.ok(stamp > 0 && expires > 0 && epoch > 0);
          assert.deepEqual(rest, {
            generation: rig.generation,
            sourceIdentity: web.identity,
            destinationIdentity: db.identity,
            sourceEndpoint: web.id,
            destinationEndpoint: db.id,
            natPort: 0,
            ...{ frontend: '::', frontendPort: 0 },
            flags: 0,
            low: { ifindex: rig.ifindex(web.name), mac: web.mac, gatewayMac: web.gatewayMac },
            high: { ifindex: rig.ifindex(db.name), mac: db.mac, gatewayMac: db.gatewayMac },
          });
          lives(rig, 56);
        },
      }),
      toWeb('the same connection the other way round is the same entry, asked by the high end', {
        packet: packetFrom(db, web.ip).tcp({ sourcePort: 40000, destinationPort: 80 }),
        check: (rig) => {
          const [key, entry] = only(rig);
          assert.deepEqual([key.low, key.lowPort, key.high, key.highPort], [web.ip, 80, db.ip, 40000]);
          assert.equal(entry.flags, CtFlag.CT_HIGH_ASKED);
          assert.deepEqual([entry.sourceEndpoint, entry.destinationEndpoint], [db.id, web.id]);
        },
      }),
      toWeb('the answer passes although the answerer may open nothing', {
        given: (rig) => {
          rig.policy(oneWay);
          pass(rig, leaving(web), syn);
        },
        packet: answer,
        events: ['trace TO_ENDPOINT egress'],
        check: (rig, { events }) => {
          assert.equal(events[0]?.ctState, 2);
          flagsAre(rig, CtFlag.CT_REPLIED);
          lives(rig, 20117);
        },
      }),
      toDb('an established connection goes on without a word', { given: connected, packet: ack, events: [] }),
      toDb('unless every packet is to be told', {
        given: (rig) => {
          connected(rig);
          rig.configure({ traceLevel: TraceLevel.TRACE_MAX });
        },
        packet: ack,
        events: ['trace TO_ENDPOINT egress'],
        check: (_, { events }) => assert.equal(events[0]?.ctState, 1),
      }),
      toDb('a first packet is told of by its verdicts alone where traces are off', {
        given: (rig) => rig.configure({ traceLevel: TraceLevel.TRACE_NONE }),
        packet: syn,
        events: ['verdict egress allow rule 0 L3-Only', 'verdict ingress allow rule 0 L3-Only'],
      }),
      toDb('a SYN sent again belongs to its connection', { given: connected, packet: syn, events: [] }),
      toWeb('who was asked may not open a connection under cover of its answers', {
        given: connected,
        packet: answer.tcp({ flags: 'S' }),
        ...refusal,
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
      }),
      toWeb('a packet in mid-stream without a connection is refused where the sender may open none', {
        given: (rig) => rig.policy(oneWay),
        packet: data,
        ...refusal,
      }),
      toDb('and taken up where it may', {
        given: (rig) => rig.policy(oneWay),
        packet: ack,
        check: (rig) => lives(rig, 56),
      }),
      toWeb('a connection that has expired admits nothing', {
        given: (rig) => {
          connected(rig);
          alter(rig, { expires: tick() - 1, stamp: 0 });
        },
        packet: data,
        ...refusal,
      }),
      toWeb('one that is about to expire lives again', {
        given: (rig) => {
          connected(rig);
          alter(rig, { expires: tick() + 2, stamp: 0 });
        },
        packet: data,
        events: [],
        check: (rig) => lives(rig, 20117),
      }),
      toDb('a FIN of one side closes nothing yet', {
        given: connected,
        packet: ack.tcp({ flags: 'FA' }),
        check: (rig) => {
          flagsAre(rig, CtFlag.CT_REPLIED | CtFlag.CT_FIN_ASKER);
          lives(rig, 20117);
        },
      }),
      toWeb('the FIN of the other does', {
        given: after([web, ack.tcp({ flags: 'FA' })]),
        packet: answer.tcp({ flags: 'FA' }),
        check: (rig) => {
          flagsAre(rig, CtFlag.CT_REPLIED | CtFlag.CT_FIN_ASKER | CtFlag.CT_FIN_ANSWERER);
          lives(rig, 10);
        },
      }),
      toWeb('a reset closes at once', {
        given: connected,
        packet: answer.tcp({ flags: 'RA' }),
        check: (rig) => {
          flagsAre(rig, CtFlag.CT_REPLIED | CtFlag.CT_RESET);
          lives(rig, 10);
        },
      }),
      toDb('a SYN after the end opens a connection of its own', {
        given: after([db, answer.tcp({ flags: 'RA' })]),
        packet: syn,
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 1 L3-L4',
          'trace TO_ENDPOINT egress',
        ],
        check: (rig) => flagsAre(rig, 0),
      }),
      toDb('a change of policy has an allowed connection decided anew, once', {
        given: (rig) => {
          connected(rig);
          rig.policy(isolation(), 8);
        },
        packet: ack,
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 0 L3-Only',
          'trace TO_ENDPOINT egress',
        ],
        check: (rig) => {
          assert.equal(only(rig)[1].generation, 8);
          flagsAre(rig, CtFlag.CT_REPLIED);
          assert.deepEqual(rig.send('from_container', web.name, ack.bytes()).events, []);
        },
      }),
      toWeb('also when the answerer speaks first, and on the tuple of the asker', {
        given: (rig) => {
          connected(rig);
          rig.policy(oneWay, 8);
        },
        packet: data,
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress allow rule 1 L3-L4',
          'trace TO_ENDPOINT egress',
        ],
        check: (rig) => assert.equal(only(rig)[1].sourceEndpoint, web.id),
      }),
      toDb('a change of policy that denies a connection cuts it', {
        given: (rig) => {
          connected(rig);
          rig.policy(denied, 8);
        },
        packet: ack,
        ...refusal,
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress deny 133 rule 0 none',
          'drop 133 ingress',
        ],
      }),
      toWeb('in both directions', {
        given: (rig) => {
          connected(rig);
          rig.policy(denied, 8);
        },
        packet: data,
        ...refusal,
        check: (rig) => assert.equal(only(rig)[1].generation, 7, 'the entry is not of the new policy'),
      }),
      toDb('and it goes on when policy allows it again', {
        given: (rig) => {
          connected(rig);
          rig.policy(denied, 8);
          rig.send('from_container', web.name, ack.bytes());
          rig.policy(oneWay, 9);
        },
        packet: ack,
      }),
      toWeb('an asker of another identity is decided anew', {
        given: (rig) => {
          connected(rig);
          rig.place(web, { identity: client.identity });
        },
        packet: data,
        ...refusal,
        events: [
          'verdict egress allow rule 0 L3-Only',
          'verdict ingress deny 133 rule 0 none',
          'drop 133 ingress',
        ],
      }),
      toDb('an endpoint that took over the address does not take over the connection', {
        given: (rig) => {
          connected(rig);
          rig.policy(denied);
          rig.place(db, { id: 99 });
        },
        packet: ack,
        ...refusal,
      }),
      toDb('a datagram is an answer short of a connection', {
        packet: question,
        check: (rig) => lives(rig, 30),
      }),
      toWeb('its answer makes it last', {
        given: (rig) => {
          rig.policy(selecting(db.identity, 'egress', []));
          pass(rig, leaving(web), question);
        },
        packet: response,
        check: (rig) => lives(rig, 168),
      }),
      toWeb('an answer from another port is not one', {
        given: (rig) => {
          rig.policy(selecting(db.identity, 'egress', []));
          pass(rig, leaving(web), question);
        },
        packet: response.udp({ sourcePort: 54 }),
        ...refusal,
      }),
      toWeb('nor is one by another protocol', {
        given: (rig) => {
          rig.policy(selecting(db.identity, 'egress', []));
          pass(rig, leaving(web), question);
        },
        packet: packetFrom(db, web.ip).sctp({ sourcePort: 53, destinationPort: 40000 }),
        ...refusal,
      }),
      toDb('both ends may use one port', {
        given: (rig) =>
          rig.policy(selecting(db.identity, 'ingress', [{ peer: PEER_NETWORK, protocol: 17, port: 40000 }])),
        packet: question.udp({ destinationPort: 40000 }),
        check: (rig) => assert.equal(only(rig)[1].sourceEndpoint, web.id),
      }),
    ],
    family,
  );
}
