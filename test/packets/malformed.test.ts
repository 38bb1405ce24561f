import { db, host, nobody, web, world } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import type { Case } from './case.ts';
import { arriving, delivered, entering, leaving, packetFrom, packetTo, runCases } from './case.ts';

const toDb = packetFrom(web, db.ip);
const tcp = toDb.tcp();
const NOP = Buffer.from([1, 1, 1, 1]);

/** A frame of web that is refused on the way out. */
function refused(name: string, packet: Packet | Buffer, verdict: Case['verdict']): Case {
  return { name, where: leaving(web), packet, verdict };
}

const PADDING = Buffer.alloc(18);
const padded = (packet: Packet): Buffer => Buffer.concat([packet.bytes(), PADDING]);

runCases([
  refused('what is not IPv6 inside is refused', tcp.ethernet({ type: 0x86dd }), 'DROP_INVALID'),
  refused('frames of unknown protocols are refused', toDb.ethernet({ type: 0x88cc }), 'DROP_UNSUPPORTED_L3'),
  {
    name: 'nor do they get in',
    where: entering(web),
    packet: packetTo(web, host.ip).tcp().ethernet({ type: 0x88cc }),
    verdict: 'DROP_UNSUPPORTED_L3',
  },
  refused('a tagged frame is refused', tcp.ethernet({ type: 0x8100 }), 'DROP_UNSUPPORTED_L3'),
  refused('IP version 5 is invalid', tcp.ip({ version: 5 }), 'DROP_INVALID'),
  refused('a header shorter than twenty bytes is invalid', tcp.ip({ headerLength: 16 }), 'DROP_INVALID'),
  refused('a total length beyond the frame is invalid', tcp.ip({ totalLength: 1000 }), 'DROP_INVALID'),
  refused('a total length within the header is invalid', tcp.ip({ totalLength: 19 }), 'DROP_INVALID'),
  refused(
    'a total length of zero is invalid in a frame of normal size',
    tcp.ip({ totalLength: 0 }),
    'DROP_INVALID',
  ),
  refused('IP options are refused by name', tcp.ip({ options: NOP }), 'DROP_IP_OPTIONS'),
  refused(
    'a header length beyond the frame is no way around that',
    tcp.ip({ headerLength: 60 }),
    'DROP_IP_OPTIONS',
  ),
  refused('a TCP header cut short is refused', tcp.bytes().subarray(0, 50), 'DROP_INVALID'),
  refused('so is one that the IP length cuts short', tcp.ip({ totalLength: 39 }), 'DROP_CT_INVALID_HEADER'),
  refused(
    'a TCP header that claims less than twenty bytes is refused',
    toDb.tcp({ headerLength: 16 }),
    'DROP_CT_INVALID_HEADER',
  ),
  refused(
    'a TCP header that claims more than there is is refused',
    toDb.tcp({ headerLength: 24 }),
    'DROP_CT_INVALID_HEADER',
  ),
  refused('TCP without any flag is invalid', toDb.tcp({ flags: '' }), 'DROP_INVALID'),
  refused('SYN with FIN is invalid', toDb.tcp({ flags: 'SF' }), 'DROP_INVALID'),
  refused('SYN with RST is invalid', toDb.tcp({ flags: 'SR' }), 'DROP_INVALID'),
  refused('a UDP header cut short is refused', toDb.udp().ip({ totalLength: 27 }), 'DROP_CT_INVALID_HEADER'),
  refused(
    'an ICMP header cut short is refused',
    toDb.icmp().ip({ totalLength: 27 }),
    'DROP_CT_INVALID_HEADER',
  ),
  refused(
    'an SCTP header cut short is refused',
    toDb.sctp().ip({ totalLength: 31 }),
    'DROP_CT_INVALID_HEADER',
  ),
  refused('IGMP is refused', toDb.ip({ protocol: 2 }).payload('01234567'), 'DROP_UNKNOWN_L4'),
  refused('GRE is refused', toDb.ip({ protocol: 47 }).payload('01234567'), 'DROP_UNKNOWN_L4'),
  refused('a packet at the end of its life is not forwarded', tcp.ip({ ttl: 1 }), 'DROP_TTL_EXCEEDED'),
  refused('nor one that should be dead already', tcp.ip({ ttl: 0 }), 'DROP_TTL_EXCEEDED'),
  refused('multicast is beyond reach', packetFrom(web, '224.0.0.251').udp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so is broadcast', packetFrom(web, '255.255.255.255').udp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so is class E', packetFrom(web, '240.0.0.1').udp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so is the loopback of the host', packetFrom(web, '127.0.0.1').udp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused('so is 0.0.0.0', packetFrom(web, '0.0.0.0').udp(), 'DROP_UNKNOWN_L3_TARGET'),
  refused(
    'so is the gateway, which only answers ARP',
    packetFrom(web, web.gateway).icmp(),
    'DROP_UNKNOWN_L3_TARGET',
  ),
  refused(
    'an address of the cluster that is nobody’s is unroutable',
    packetFrom(web, nobody.ip).tcp(),
    'DROP_STALE_OR_UNROUTABLE',
  ),
  {
    name: 'padding behind the IP length is carried along',
    where: leaving(web),
    packet: padded(toDb.udp()),
    verdict: 'redirect',
    becomes: padded(delivered(toDb.udp(), db)),
  },
  {
    name: 'without a policy nothing passes',
    where: leaving(web),
    given: (rig) => rig.configure({ generation: 0 }),
    packet: tcp,
    verdict: 'DROP_POLICY',
  },
  {
    name: 'SCTP reaches a neighbour with its checksum untouched',
    where: leaving(web),
    packet: toDb.sctp().payload('data'),
    verdict: 'redirect',
    becomes: delivered(toDb.sctp().payload('data'), db),
  },
  {
    name: 'the checksum carries over when the lower time to live wraps it',
    where: leaving(web),
    packet: tcp.ip({ id: wrappingId() }),
    verdict: 'redirect',
    becomes: delivered(tcp.ip({ id: wrappingId() }), db),
  },
  ...[2, 3, 254, 255].map((ttl): Case => ({
    name: `a time to live of ${ttl} becomes ${ttl - 1}`,
    where: leaving(web),
    packet: tcp.ip({ ttl }),
    verdict: 'redirect',
    becomes: delivered(tcp, db, ttl - 1),
  })),
  {
    name: 'what the uplink cannot read is the host’s business',
    where: arriving,
    packet: packetTo(web, world.ip).ip({ options: NOP }).tcp(),
    verdict: 'untouched',
    events: [],
  },
]);

/** An IP id with which the header's checksum is 0xff00 or more, so that adding 0x0100 carries. */
function wrappingId(): number {
  for (let id = 0; id < 0x10000; id++) {
    if (tcp.ip({ id }).bytes().readUInt16BE(24) >= 0xff00) return id;
  }
  throw new Error('no such id');
}
