/** Bridges of the host: whoever is behind one asks for published ports and is answered there; nothing else goes that way. */
import { CASTS } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { delivered, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import type { Where } from './case.ts';
import { selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

const TCP = 6;
const PORT = 8080;
const MAC = '02:99:00:00:00:01';
const NEIGHBOUR_MAC = '02:99:00:00:00:02';
const arriving: Where = { program: 'from_uplink', device: 'bridge' };

for (const { family, client, host, web, bridge, uplink } of CASTS) {
  /** The bridge is a way in, and port 8080 of the host leads to a container. */
  function published(rig: Rig): void {
    rig.maps.uplink.set(rig.ifindex('bridge'), { ip4: '0.0.0.0', ip6: '::' });
    const frontend = { address: family === 'IPv4' ? '0.0.0.0' : '::', port: PORT, protocol: TCP };
    rig.maps.service.set(frontend, { address: web.ip, port: 80, flags: 0, id: 1 });
  }

  const from = (destination: string): Packet =>
    new Packet()
      .ethernet({ source: NEIGHBOUR_MAC, destination: MAC })
      .ip({ source: bridge.neighbour, destination })
      .tcp({ sourcePort: 5000, destinationPort: PORT });
  const inside = packetTo(web, bridge.neighbour).tcp({ sourcePort: 5000, destinationPort: 80 });
  const answer = packetFrom(web, bridge.neighbour).tcp({
    sourcePort: 80,
    destinationPort: 5000,
    flags: 'SA',
  });

  runCases(
    [
      ...[uplink.ip, host.ip].map((address) => ({
        name: `somebody behind one reaches a published port by ${address}`,
        where: arriving,
        given: published,
        packet: from(address),
        verdict: 'redirect' as const,
        becomes: delivered(inside, web),
        events: ['verdict ingress allow rule 0 all', 'trace TO_ENDPOINT ingress'],
      })),
      {
        name: 'the answer leaves by the bridge, from the address that was asked',
        where: leaving(web),
        given: (rig) => {
          published(rig);
          pass(rig, arriving, from(uplink.ip));
        },
        packet: answer,
        verdict: 'redirect',
        becomes: answer.ip({ source: uplink.ip, ttl: 63 }).tcp({ sourcePort: PORT }),
        events: ['trace TO_NETWORK egress'],
      },
      {
        name: 'policy that does not admit the world closes the port',
        where: arriving,
        given: (rig) => {
          published(rig);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: client.identity }]));
        },
        packet: from(uplink.ip),
        verdict: 'DROP_POLICY',
        events: ['verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
      },
      {
        name: 'what is for the container’s own address is the host’s business',
        where: arriving,
        given: published,
        packet: from(web.ip),
        verdict: 'untouched',
      },
      {
        name: 'a container asks nobody behind it',
        where: leaving(web),
        given: published,
        packet: packetFrom(web, bridge.neighbour).tcp({ sourcePort: 5000, destinationPort: 80 }),
        verdict: 'DROP_NO_UPLINK',
        events: ['verdict egress allow rule 0 L3-Only', 'drop 210 egress'],
      },
    ],
    family,
  );
}
