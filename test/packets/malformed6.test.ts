import { CASTS } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import type { Case } from './case.ts';
import { arriving, delivered, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';

const { db, host, nobody, web, world } = CASTS[1]!;
const toDb = packetFrom(web, db.ip);
const tcp = toDb.tcp();
const PADDING = Buffer.alloc(18);
const padded = (packet: Packet): Buffer => Buffer.concat([packet.bytes(), PADDING]);

/** A frame of web that is refused on the way out. */
function refused(name: string, packet: Packet | Buffer, verdict: Case['verdict']): Case {
  return { name, where: leaving(web), packet, verdict };
}

/** An extension header of eight bytes, in front of TCP. */
const EXTENSION = Buffer.from([6, 0, 1, 4, 0, 0, 0, 0]);
const extended = (extension: number): Packet => tcp.ip({ options: EXTENSION, extension });

/** An IPv4 packet's addresses in an IPv6 header, which maps take for the IPv4 packet itself. */
const mapped = (address: string): string => `::ffff:${address}`;

runCases([
  refused('IP version 5 is invalid', tcp.ip({ version: 5 }), 'DROP_INVALID'),
  refused('a length beyond the frame is invalid', tcp.ip({ totalLength: 1000 }), 'DROP_INVALID'),
  refused('no length is invalid in a frame of normal size', tcp.ip({ totalLength: 40 }), 'DROP_INVALID'),
  refused('a TCP header cut short is refused', tcp.ip({ totalLength: 59 }), 'DROP_CT_INVALID_HEADER'),
  refused('a TCP header longer than the packet is', tcp.tcp({ headerLength: 24 }), 'DROP_CT_INVALID_HEADER'),
  refused('a UDP header cut short is', toDb.udp().ip({ totalLength: 47 }), 'DROP_CT_INVALID_HEADER'),
  refused('an ICMPv6 header cut short is', toDb.icmp().ip({ totalLength: 47 }), 'DROP_CT_INVALID_HEADER'),
  refused('an SCTP header cut short is', toDb.sctp().ip({ totalLength: 51 }), 'DROP_CT_INVALID_HEADER'),
  ...Object.entries({
    HopByHop: 0,
    Routing: 43,
    Authentication: 51,
    DestinationOptions: 60,
    Mobility: 135,
  }).map(([name, number]) =>
    refused(`the extension header ${name} is refused`, extended(number), 'DROP_INVALID_EXTENSION_HEADER'),
  ),
  refused('so are HIP', extended(139), 'DROP_INVALID_EXTENSION_HEADER'),
  refused('and Shim6', extended(140), 'DROP_INVALID_EXTENSION_HEADER'),
  refused(
    'no extension header hides behind a fragment header',
    tcp.ip({ protocol: 60 }).fragment(0, 16),
    'DROP_INVALID_EXTENSION_HEADER',
  ),
  refused(
    'no second fragment header does',
    tcp.ip({ protocol: 44 }).fragment(0, 24),
    'DROP_INVALID_EXTENSION_HEADER',
  ),
  refused(
    'a fragment header cut short is invalid',
    tcp.fragment(0, 16).ip({ totalLength: 44 }),
    'DROP_INVALID',
  ),
  refused(
    'a packet without content is refused',
    toDb.ip({ protocol: 59 }).payload('12345678'),
    'DROP_UNKNOWN_L4',
  ),
  refused('ESP is refused', toDb.ip({ protocol: 50 }).payload('12345678'), 'DROP_UNKNOWN_L4'),
  refused('ICMP of IPv4 is refused', toDb.ip({ protocol: 1 }).payload('12345678'), 'DROP_UNKNOWN_L4'),
  {
    name: 'as ICMPv6 is in IPv4',
    where: leaving(web),
    packet: packetFrom(web, db.ip4).ip({ protocol: 58 }).payload('12345678'),
    verdict: 'DROP_UNKNOWN_L4',
  },
  {
    name: 'a packet that is whole in itself may have a fragment header (RFC 6946)',
    where: leaving(web),
    packet: tcp.fragment(0, 20),
    verdict: 'redirect',
    becomes: delivered(tcp.fragment(0, 20), db),
  },
  refused('an IPv4 source is invalid', tcp.ip({ source: mapped(web.ip4) }), 'DROP_INVALID'),
  refused('so is an IPv4 destination', tcp.ip({ destination: mapped(db.ip4) }), 'DROP_INVALID'),
  {
    name: 'no connection of two IPv4 addresses takes an IPv6 header that has them in it',
    where: leaving(web),
    given: (rig) => {
      const syn = packetFrom(web, db.ip4).tcp();
      pass(rig, leaving(web), syn);
      pass(
        rig,
        leaving(db),
        packetFrom(db, web.ip4).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' }),
      );
      pass(rig, leaving(web), syn.tcp({ flags: 'A' }));
    },
    packet: tcp.tcp({ flags: 'A' }).ip({ source: mapped(web.ip4), destination: mapped(db.ip4) }),
    verdict: 'DROP_INVALID',
  },
  refused('the loopback of the host is beyond reach', packetFrom(web, '::1').tcp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so is ::', packetFrom(web, '::').tcp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so are IPv4 addresses of old', packetFrom(web, '::ad2:b').tcp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused(
    'so is a neighbour by a link-local address',
    packetFrom(web, 'fe80::42').tcp(),
    'DROP_UNKNOWN_L3_TARGET',
  ),
  refused('so is the gateway', packetFrom(web, web.gateway).icmp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused(
    'an address of the cluster that is nobody’s is unroutable',
    packetFrom(web, nobody.ip).tcp(),
    'DROP_STALE_OR_UNROUTABLE',
  ),
  refused('a link-local source is refused', tcp.ip({ source: 'fe80::1' }), 'DROP_INVALID_SOURCE_IP'),
  refused('a packet at the end of its life is not forwarded', tcp.ip({ ttl: 1 }), 'DROP_TTL_EXCEEDED'),
  {
    name: 'padding behind the IP length is carried along',
    where: leaving(web),
    packet: padded(toDb.udp()),
    verdict: 'redirect',
    becomes: padded(delivered(toDb.udp(), db)),
  },
  {
    name: 'what the uplink cannot read is the host’s business',
    where: arriving,
    packet: packetTo(web, world.ip).ip({ options: EXTENSION }).tcp(),
    verdict: 'untouched',
    events: [],
  },
  {
    name: 'so is what a neighbour of the host asks it',
    where: arriving,
    packet: packetTo(web, host.ip).icmp({ type: 135 }).payload(Buffer.alloc(24)),
    verdict: 'untouched',
    events: [],
  },
]);
