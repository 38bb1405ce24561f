import { client, db, NO_ONE, web, webBack } from '../support/cast.ts';
import { Packet, NO_MAC } from '../support/packet.ts';
import { entering, leaving, runCases } from './case.ts';

const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** web asks for an address. */
const request = new Packet()
  .ethernet({ source: web.mac, destination: BROADCAST })
  .arp({ senderMac: web.mac, senderIp: web.ip, targetIp: web.gateway });
/** The gateway's answer to it. */
const reply = new Packet().ethernet({ source: web.gatewayMac, destination: web.mac }).arp({
  operation: 2,
  senderMac: web.gatewayMac,
  senderIp: web.gateway,
  targetMac: web.mac,
  targetIp: web.ip,
});
const said = request
  .ethernet({ destination: web.gatewayMac })
  .arp({ operation: 2, targetMac: web.gatewayMac });

runCases([
  {
    name: 'a request for the gateway is answered with the MAC of the host side',
    where: leaving(web),
    packet: request,
    verdict: 'answer',
    becomes: reply,
    events: [],
  },
  {
    name: 'a request for the gateway may carry another address of the same container',
    where: leaving(web),
    packet: request.arp({ senderIp: webBack.ip }),
    verdict: 'answer',
    becomes: reply.arp({ targetIp: webBack.ip }),
  },
  {
    name: 'a probe for the gateway is told that the address is taken',
    where: leaving(web),
    packet: request.arp({ senderIp: NO_ONE }),
    verdict: 'answer',
    becomes: reply.arp({ targetIp: NO_ONE }),
  },
  {
    name: 'a request for a neighbour is refused, because everyone is behind the gateway',
    where: leaving(web),
    packet: request.arp({ targetIp: db.ip }),
    verdict: 'DROP_UNKNOWN_L3_TARGET',
    events: ['drop 150 egress'],
  },
  {
    name: 'without a gateway no address is answered for, least of all 0.0.0.0',
    where: leaving(web),
    given: (rig) => rig.place(web, {}, { gateway4: NO_ONE }),
    packet: request.arp({ targetIp: NO_ONE }),
    verdict: 'DROP_UNKNOWN_L3_TARGET',
  },
  {
    name: 'an announcement of its own address goes to the host',
    where: leaving(web),
    packet: request.arp({ targetIp: web.ip }),
    verdict: 'untouched',
    events: [],
  },
  {
    name: 'an answer to the host goes to the host',
    where: leaving(web),
    packet: said.arp({ targetIp: '10.210.0.1' }),
    verdict: 'untouched',
  },
  {
    name: 'an answer for the address of another container is refused',
    where: leaving(web),
    packet: said.arp({ senderIp: db.ip, targetIp: '10.210.0.1' }),
    verdict: 'DROP_INVALID_SOURCE_IP',
  },
  {
    name: 'a request in the name of another container is refused',
    where: leaving(web),
    packet: request.arp({ senderIp: client.ip }),
    verdict: 'DROP_INVALID_SOURCE_IP',
  },
  {
    name: 'a request with the MAC of another container inside is refused',
    where: leaving(web),
    packet: request.arp({ senderMac: db.mac }),
    verdict: 'DROP_INVALID_SOURCE_MAC',
  },
  {
    name: 'a request framed with the MAC of another container is refused',
    where: leaving(web),
    packet: request.ethernet({ source: db.mac }),
    verdict: 'DROP_INVALID_SOURCE_MAC',
  },
  {
    name: 'a request on other hardware than Ethernet is invalid',
    where: leaving(web),
    packet: request.arp({ hardware: 6 }),
    verdict: 'DROP_INVALID',
  },
  {
    name: 'a request for another protocol than IPv4 is invalid',
    where: leaving(web),
    packet: request.arp({ protocol: 0x86dd }),
    verdict: 'DROP_INVALID',
  },
  {
    name: 'an operation that is neither request nor answer is refused',
    where: leaving(web),
    packet: request.arp({ operation: 3 }),
    verdict: 'DROP_UNKNOWN_L3_TARGET',
  },
  {
    name: 'a truncated request is invalid',
    where: leaving(web),
    packet: request.bytes().subarray(0, 40),
    verdict: 'DROP_INVALID',
  },
  {
    name: 'what the host asks of a container passes',
    where: entering(web),
    packet: new Packet()
      .ethernet({ source: web.gatewayMac, destination: BROADCAST })
      .arp({ senderMac: web.gatewayMac, senderIp: '10.210.0.1', targetMac: NO_MAC, targetIp: web.ip }),
    verdict: 'untouched',
  },
]);
