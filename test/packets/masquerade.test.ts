import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { arriving, entering, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { PEER_WORLD, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';
import { mapping, masqueraded, onePort, OUTSIDE_PORT } from './translation.ts';

for (const {
  family,
  client,
  native,
  partner,
  uplink,
  web,
  world,
  icmp,
  bridge,
  blackhole,
  headerSize,
} of CASTS) {
  const TCP = 6;
  const tcp = packetFrom(web, world.ip).tcp();
  const udp = packetFrom(web, world.ip).udp().payload('question');
  const ping = packetFrom(web, world.ip).icmp({ id: 7 });
  const other = packetFrom(client, world.ip).tcp();
  const UNREACHABLE = { type: icmp.unreachable, code: 3, id: 0, sequence: 0 } as const;
  const uplinkOfTheOther =
    family === 'IPv4' ? { ip4: '0.0.0.0', ip6: '2001:db8::10' } : { ip4: '192.0.2.10', ip6: '::' };
  const tick = (): number => Number(process.hrtime.bigint() >> 30n);

  /** A datagram whose checksum comes to zero once it is masqueraded, which must be sent as 0xffff (RFC 768). */
  function zeroSum(): Packet {
    const bare = masqueraded(udp).udp({ sourcePort: OUTSIDE_PORT }).payload(Buffer.alloc(2));
    const sum = bare.bytes().readUInt16BE(20 + headerSize);
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(sum);
    assert.equal(
      bare
        .payload(payload)
        .bytes()
        .readUInt16BE(20 + headerSize),
      0xffff,
    );
    return udp.payload(payload);
  }

  /** An answer that web gives to the world, which had asked it. */
  const answer = packetFrom(web, world.ip).tcp({ sourcePort: 80, destinationPort: 5000, flags: 'SA' });
  const askedByWorld = (rig: Rig): void => {
    rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_WORLD }]));
    pass(rig, entering(web), packetTo(web, world.ip).tcp({ sourcePort: 5000, destinationPort: 80 }));
  };

  runCases(
    [
      {
        name: 'TCP leaves with the uplink’s address and a port of the range',
        where: leaving(web),
        given: onePort,
        packet: tcp,
        verdict: 'redirect',
        becomes: masqueraded(tcp).tcp({ sourcePort: OUTSIDE_PORT }),
        events: ['verdict egress allow rule 0 L3-Only', 'trace TO_NETWORK egress'],
        check: (rig) => {
          const [key, { expires, ...entry }] = mapping(rig);
          assert.deepEqual(key, {
            ...{ remote: world.ip, local: uplink.ip, remotePort: 80, localPort: OUTSIDE_PORT, protocol: TCP },
          });
          assert.deepEqual(entry, { address: web.ip, port: 40000 });
          const [connection] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.deepEqual([connection?.natPort, connection?.expires], [OUTSIDE_PORT, expires]);
        },
      },
      {
        name: 'UDP does',
        where: leaving(web),
        given: onePort,
        packet: udp,
        verdict: 'redirect',
        becomes: masqueraded(udp).udp({ sourcePort: OUTSIDE_PORT }),
      },
      {
        name: 'a datagram that was not to be checked still is not',
        where: leaving(web),
        given: onePort,
        packet: udp.udp({ checksum: 0 }),
        verdict: 'redirect',
        becomes: masqueraded(udp).udp({ sourcePort: OUTSIDE_PORT, checksum: 0 }),
      },
      {
        name: 'a checksum that comes to zero is not taken for none',
        where: leaving(web),
        given: onePort,
        packet: zeroSum(),
        verdict: 'redirect',
        becomes: masqueraded(zeroSum()).udp({ sourcePort: OUTSIDE_PORT, checksum: 0xffff }),
      },
      {
        name: 'an echo request gets another id',
        where: leaving(web),
        given: onePort,
        packet: ping,
        verdict: 'redirect',
        becomes: masqueraded(ping).icmp({ id: OUTSIDE_PORT }),
        check: (rig) => assert.deepEqual([mapping(rig)[0].remotePort, mapping(rig)[1].port], [0, 7]),
      },
      {
        name: 'a range that policy names is masqueraded like the rest of the world',
        where: leaving(web),
        given: onePort,
        packet: tcp.ip({ destination: partner.ip }),
        verdict: 'redirect',
        becomes: masqueraded(tcp.ip({ destination: partner.ip })).tcp({ sourcePort: OUTSIDE_PORT }),
      },
      {
        name: 'a connection keeps its port',
        where: leaving(web),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          rig.configure({ natHigh: OUTSIDE_PORT + 99 });
        },
        packet: tcp.tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: masqueraded(tcp).tcp({ sourcePort: OUTSIDE_PORT, flags: 'A' }),
        events: [],
      },
      {
        name: 'one whose mapping was evicted gets it again',
        where: leaving(web),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          rig.maps.nat.delete(mapping(rig)[0]);
          rig.configure({ natHigh: OUTSIDE_PORT + 99 });
        },
        packet: tcp.tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: masqueraded(tcp).tcp({ sourcePort: OUTSIDE_PORT, flags: 'A' }),
        check: (rig) => assert.equal(mapping(rig)[1].address, web.ip),
      },
      {
        name: 'one whose entry was evicted finds its port by its hash',
        where: leaving(web),
        given: (rig) => {
          pass(rig, leaving(web), tcp);
          for (const [key] of [...rig.maps.ct.entries()]) rig.maps.ct.delete(key);
        },
        packet: tcp.tcp({ flags: 'A' }),
        verdict: 'redirect',
        becomes: (rig) => masqueraded(tcp).tcp({ flags: 'A', sourcePort: mapping(rig)[0].localPort }),
      },
      {
        name: 'two connections to one destination get two ports',
        where: leaving(client),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          rig.configure({ natHigh: OUTSIDE_PORT + 1 });
        },
        packet: other,
        verdict: 'redirect',
        becomes: masqueraded(other).tcp({ sourcePort: OUTSIDE_PORT + 1 }),
      },
      {
        name: 'connections to two destinations may share a port',
        where: leaving(client),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
        },
        packet: other.tcp({ destinationPort: 81 }),
        verdict: 'redirect',
        becomes: masqueraded(other).tcp({ sourcePort: OUTSIDE_PORT, destinationPort: 81 }),
      },
      {
        name: 'when no port is free the packet is refused',
        where: leaving(client),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
        },
        packet: other,
        verdict: 'DROP_NO_MASQUERADE_PORT',
        becomes: other.ip({ ttl: 63 }),
        check: (rig) => assert.equal(mapping(rig)[1].address, web.ip, 'the mapping still is whose it was'),
      },
      {
        name: 'the port of a mapping that has expired is free',
        where: leaving(client),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          const [key, entry] = mapping(rig);
          rig.maps.nat.set(key, { ...entry, expires: tick() - 1 });
        },
        packet: other,
        verdict: 'redirect',
        becomes: masqueraded(other).tcp({ sourcePort: OUTSIDE_PORT }),
        check: (rig) => assert.equal(mapping(rig)[1].address, client.ip),
      },
      {
        name: 'that of a connection that has been reset is taken when there is no other',
        where: leaving(client),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          pass(rig, leaving(web), tcp.tcp({ flags: 'R' }));
        },
        packet: other,
        verdict: 'redirect',
        becomes: masqueraded(other).tcp({ sourcePort: OUTSIDE_PORT }),
        check: (rig) => assert.equal(mapping(rig)[1].address, client.ip),
      },
      {
        name: 'SCTP cannot be masqueraded',
        where: leaving(web),
        packet: packetFrom(web, world.ip).sctp(),
        verdict: 'DROP_NAT_UNSUPPORTED',
        becomes: packetFrom(web, world.ip).sctp().ip({ ttl: 63 }),
      },
      {
        name: 'an uplink without an address of the family cannot masquerade',
        where: leaving(web),
        given: (rig) => rig.maps.uplink.set(rig.ifindex(uplink.name), uplinkOfTheOther),
        packet: tcp,
        verdict: 'DROP_NAT_NO_MAPPING',
        becomes: tcp.ip({ ttl: 63 }),
      },
      {
        name: 'a native destination sees the container’s own address',
        where: leaving(web),
        packet: tcp.ip({ destination: native.ip }),
        verdict: 'redirect',
        becomes: tcp.ip({ destination: native.ip, ttl: 63 }),
        check: (rig) => assert.deepEqual([...rig.maps.nat.entries()], []),
      },
      {
        name: 'and may be reached by SCTP',
        where: leaving(web),
        packet: packetFrom(web, native.ip).sctp(),
        verdict: 'redirect',
        becomes: packetFrom(web, native.ip).sctp().ip({ ttl: 63 }),
      },
      {
        name: 'who was asked by the world answers under the address that was asked',
        where: leaving(web),
        given: askedByWorld,
        packet: answer,
        verdict: 'redirect',
        becomes: answer.ip({ ttl: 63 }),
        check: (rig) => assert.deepEqual([...rig.maps.nat.entries()], []),
      },
      {
        name: 'an error about an answer of the world is masqueraded inside and out',
        where: leaving(web),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), udp);
        },
        packet: packetFrom(web, world.ip)
          .icmp(UNREACHABLE)
          .quoting(packetTo(web, world.ip).udp({ sourcePort: 53, destinationPort: 40000 })),
        verdict: 'redirect',
        becomes: masqueraded(packetFrom(web, world.ip))
          .icmp(UNREACHABLE)
          .quoting(quotedAs(packetTo(web, world.ip).udp({ sourcePort: 53, destinationPort: 40000 }))),
      },
      {
        name: 'a destination behind another bridge of the host is refused',
        where: leaving(web),
        packet: tcp.ip({ destination: bridge.neighbour }),
        verdict: 'DROP_NO_UPLINK',
        events: ['verdict egress allow rule 0 L3-Only', 'drop 210 egress'],
      },
      {
        name: 'an address of the host that the datapath has not heard of is refused',
        where: leaving(web),
        packet: tcp.ip({ destination: bridge.ip }),
        verdict: 'DROP_NO_UPLINK',
      },
      {
        name: 'while no uplink is known the world is refused',
        where: leaving(web),
        given: (rig) => rig.maps.uplink.delete(rig.ifindex(uplink.name)),
        packet: tcp,
        verdict: 'DROP_NO_UPLINK',
      },
      {
        name: 'a destination that routing refuses is refused',
        where: leaving(web),
        packet: tcp.ip({ destination: blackhole.ip }),
        verdict: 'DROP_FIB_FAILED',
      },
      {
        name: 'a packet at the end of its life takes no port',
        where: leaving(web),
        packet: tcp.ip({ ttl: 1 }),
        verdict: 'DROP_TTL_EXCEEDED',
        check: (rig) => assert.deepEqual([...rig.maps.nat.entries()], []),
      },
      {
        name: 'nor does one that policy denies',
        where: leaving(web),
        given: (rig) => rig.policy(selecting(web.identity, 'egress', [])),
        packet: tcp,
        verdict: 'DROP_POLICY',
        check: (rig) => assert.deepEqual([...rig.maps.nat.entries()], []),
      },
      {
        name: 'a mapping ends with its connection',
        where: leaving(web),
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), tcp);
          const back = packetTo(web, world.ip).ip({ destination: uplink.ip });
          const ports = { sourcePort: 80, destinationPort: OUTSIDE_PORT };
          pass(rig, arriving, back.tcp({ ...ports, flags: 'SA' }));
          pass(rig, arriving, back.tcp({ ...ports, flags: 'FA' }));
        },
        packet: tcp.tcp({ flags: 'FA' }),
        verdict: 'redirect',
        becomes: masqueraded(tcp).tcp({ sourcePort: OUTSIDE_PORT, flags: 'FA' }),
        check: (rig) => assert.ok(mapping(rig)[1].expires - tick() <= 10),
      },
    ],
    family,
  );

  /**
   * A quoted packet of the world as the world sent it: to the uplink. Its UDP checksum is the one thing left as it was
   * when it arrived in the container; nobody checks it, eight bytes are all there is of the datagram.
   */
  function quotedAs(packet: Packet): Packet {
    const checksum = packet.bytes().readUInt16BE(20 + headerSize);
    return packet.ip({ destination: uplink.ip }).udp({ destinationPort: OUTSIDE_PORT, checksum });
  }
}
