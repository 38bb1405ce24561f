import { TraceLevel } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import { ipBytes, macBytes, Packet } from '../support/packet.ts';
import { entering, leaving, packetFrom, packetTo, runCases } from './case.ts';
import type { Case } from './case.ts';

const { db, host, router, web, webBack, nobody } = CASTS[1]!;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOURCE_MAC = 1;
const TARGET_MAC = 2;
/** Router, solicited, override. */
const ANSWER_FLAGS = 0xe000;
const LINK_LOCAL = 'fe80::42:aff:fed2:a';
const ALL_NODES = 'ff02::1';

const option = (type: number, mac: string): Buffer => Buffer.concat([Buffer.from([type, 1]), macBytes(mac)]);

/** The group that the owner of an address listens to (RFC 4291 section 2.7.1), and its MAC. */
function solicited(target: string): { ip: string; mac: string } {
  const [a = 0, b = 0, c = 0] = ipBytes(target).subarray(13);
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  return { ip: `ff02::1:ff${hex(a)}:${hex(b)}${hex(c)}`, mac: `33:33:ff:${hex(a)}:${hex(b)}:${hex(c)}` };
}

function message(type: number, target: string, options: Buffer, flags = 0): (packet: Packet) => Packet {
  const payload = Buffer.concat([ipBytes(target), options]);
  return (packet) => packet.ip({ ttl: 255 }).icmp({ type, code: 0, id: flags, sequence: 0 }).payload(payload);
}

/** Who has that address? As a container asks. */
function ask(target: string, options: Buffer = option(SOURCE_MAC, web.mac)): Packet {
  const group = solicited(target);
  const framed = packetFrom(web, group.ip).ethernet({ destination: group.mac });
  return message(SOLICITATION, target, options)(framed);
}

/** What the gateway answers to who asked under `asker`. */
function answer(asker: string, gateway: string = web.gateway): Packet {
  const framed = new Packet().ethernet({ source: web.gatewayMac, destination: web.mac });
  const from = framed.ip({ source: gateway, destination: asker });
  return message(ADVERTISEMENT, gateway, option(TARGET_MAC, web.gatewayMac), ANSWER_FLAGS)(from);
}

/** I have that address: as a container says to all. */
function announce(target: string, mac = web.mac): Packet {
  const framed = packetFrom(web, ALL_NODES).ethernet({ destination: '33:33:00:00:00:01' });
  return message(ADVERTISEMENT, target, option(TARGET_MAC, mac), 0x2000)(framed);
}

const question = ask(web.gateway);
const CHOSEN = 'fd00:210::fe';
const chosen: Partial<Case> = { given: (rig) => rig.place(web, {}, { gateway6: CHOSEN }) };

function answered(name: string, packet: Packet, becomes: Packet, more: Partial<Case> = {}): Case {
  return { name, where: leaving(web), packet, verdict: 'answer', becomes, events: [], ...more };
}
function refused(name: string, packet: Packet, verdict: Case['verdict'], more: Partial<Case> = {}): Case {
  return { name, where: leaving(web), packet, verdict, ...more };
}
/** Counted, and not told. */
const quiet = (name: string, packet: Packet): Case => refused(name, packet, 'DROP_MULTICAST', { events: [] });

runCases([
  answered('the gateway answers with the host side’s own MAC', question, answer(web.ip)),
  answered('to a link-local address too', question.ip({ source: LINK_LOCAL }), answer(LINK_LOCAL)),
  answered('and to any address of the container', question.ip({ source: webBack.ip }), answer(webBack.ip)),
  answered(
    'to who asks the gateway itself, to be sure',
    question.ip({ destination: web.gateway }).ethernet({ destination: web.gatewayMac }),
    answer(web.ip),
  ),
  answered('where the user chose another, that one answers', ask(CHOSEN), answer(web.ip, CHOSEN), chosen),
  answered('and so does the one that the container’s other networks have', question, answer(web.ip), chosen),
  refused('which nobody may pass for', announce(web.gateway), 'DROP_INVALID_SOURCE_IP', chosen),
  answered('to who does not say its MAC', ask(web.gateway, Buffer.alloc(0)), answer(web.ip)),
  answered(
    'and to who says more',
    ask(web.gateway, Buffer.concat([option(SOURCE_MAC, web.mac), option(14, web.mac)])),
    answer(web.ip),
  ),
  {
    name: 'the answer reaches the container',
    where: entering(web),
    packet: answer(web.ip),
    verdict: 'untouched',
    events: [],
  },
  refused('another’s answer does not', answer(web.ip).ip({ source: host.ip }), 'DROP_FORBIDDEN_ICMP6', {
    where: entering(web),
  }),
  refused('nor one that came over a router', answer(web.ip).ip({ ttl: 254 }), 'DROP_FORBIDDEN_ICMP6', {
    where: entering(web),
  }),
  refused(
    'a question for a neighbour is refused, because everyone is behind the gateway',
    ask(db.ip),
    'DROP_UNKNOWN_L3_TARGET',
  ),
  refused('without a gateway none is answered for', question, 'DROP_UNKNOWN_L3_TARGET', {
    given: (rig) => rig.place(web, {}, { gateway6: '::' }),
  }),
  refused('least of all ::', ask('::'), 'DROP_UNKNOWN_L3_TARGET', {
    given: (rig) => rig.place(web, {}, { gateway6: '::' }),
  }),
  quiet(
    'whether somebody has the container’s address already is answered by silence',
    ask(web.ip, Buffer.alloc(0)).ip({ source: '::' }),
  ),
  quiet('whether somebody has another’s is, too', ask(db.ip, Buffer.alloc(0)).ip({ source: '::' })),
  refused(
    'a question in the name of another is refused',
    question.ip({ source: db.ip }),
    'DROP_INVALID_SOURCE_IP',
  ),
  refused('in that of nobody', question.ip({ source: nobody.ip }), 'DROP_INVALID_SOURCE_IP'),
  refused('in that of the gateway', question.ip({ source: web.gateway }), 'DROP_INVALID_SOURCE_IP'),
  refused(
    'a question from another MAC is refused',
    question.ethernet({ source: db.mac }),
    'DROP_INVALID_SOURCE_MAC',
  ),
  refused(
    'one that names another MAC is',
    ask(web.gateway, option(SOURCE_MAC, db.mac)),
    'DROP_INVALID_SOURCE_MAC',
  ),
  refused('one that came over a router is invalid', question.ip({ ttl: 254 }), 'DROP_INVALID'),
  refused('one with a code is', question.icmp({ code: 1 }), 'DROP_INVALID'),
  refused('one without a target is', question.payload(Buffer.alloc(8)), 'DROP_INVALID'),
  refused('one in a fragment header is', question.fragment(0, 32), 'DROP_INVALID'),
  quiet('an announcement of its own address ends at the host side', announce(web.ip)),
  quiet('so does that of a link-local one', announce(LINK_LOCAL)),
  refused('that of the gateway is refused', announce(web.gateway), 'DROP_INVALID_SOURCE_IP'),
  refused('that of another container is', announce(db.ip), 'DROP_INVALID_SOURCE_IP'),
  refused('that of another MAC is', announce(web.ip, db.mac), 'DROP_INVALID_SOURCE_MAC'),
  refused(
    'to a neighbour it may not even announce itself',
    announce(web.ip).ip({ destination: db.ip }).ethernet({ destination: web.gatewayMac }),
    'DROP_FORBIDDEN_ICMP6',
  ),
  ...[134, 137].map((type) =>
    refused(
      `nobody may pass for a router by a message of type ${type}`,
      announce(web.ip).icmp({ type }),
      'DROP_FORBIDDEN_ICMP6',
      {
        events: ['drop 176 egress'],
      },
    ),
  ),
  ...[133, 134, 137, 130, 143, 138, 141, 149, 151].map((type) =>
    refused(
      `a message of type ${type} is not for a neighbour`,
      packetFrom(web, db.ip).icmp({ type }),
      'DROP_FORBIDDEN_ICMP6',
    ),
  ),
  refused('nor for a container', packetTo(web, router.ip).icmp({ type: 134 }), 'DROP_FORBIDDEN_ICMP6', {
    where: entering(web),
  }),
  quiet('a question for routers ends at the host side', announce(web.ip).icmp({ type: 133 })),
  quiet(
    'so does a report of groups',
    packetFrom(web, 'ff02::16')
      .ip({ options: Buffer.from([58, 0, 5, 2, 0, 0, 1, 0]) })
      .icmp({ type: 143 }),
  ),
  quiet(
    'so does whatever else is said to a group',
    packetFrom(web, 'ff02::fb').udp({ destinationPort: 5353 }),
  ),
  quiet('even to one of the whole world', packetFrom(web, 'ff0e::fb').icmp()),
  refused('who wants to hear everything hears of it', packetFrom(web, 'ff02::fb').udp(), 'DROP_MULTICAST', {
    given: (rig) => rig.configure({ traceLevel: TraceLevel.TRACE_MAX }),
    events: ['drop 201 egress'],
  }),
  {
    name: 'what the host says to its groups ends there too',
    where: entering(web),
    packet: packetTo(web, host.ip).ip({ destination: 'ff02::16' }).icmp({ type: 143 }),
    verdict: 'DROP_MULTICAST',
    events: [],
  },
]);
