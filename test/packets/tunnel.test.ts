/**
 * What comes by a tunnel, once it has got a header; that a bare packet gets one is shown by real tunnels, since a test run
 * has none (test/lab/tunnel.test.ts).
 */
import { CASTS } from '../support/cast.ts';
import { Packet } from '../support/packet.ts';
import { delivered, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import type { Where } from './case.ts';
import type { Rig } from './rig.ts';
import { onePort, OUTSIDE_PORT } from './translation.ts';

const TCP = 6;
const PORT = 8080;
const NO_MAC = '00:00:00:00:00:00';
const arriving: Where = { program: 'from_tunnel', device: 'uplink' };

for (const { family, web, uplink, world } of CASTS) {
  const bare = (): Packet =>
    new Packet()
      .ethernet({ source: NO_MAC, destination: NO_MAC })
      .ip({ source: world.ip, destination: uplink.ip });
  const call = bare().tcp({ sourcePort: 5000, destinationPort: PORT });
  const answer = bare().tcp({ sourcePort: 80, destinationPort: OUTSIDE_PORT, flags: 'SA' });

  function published(rig: Rig): void {
    const frontend = { address: family === 'IPv4' ? '0.0.0.0' : '::', port: PORT, protocol: TCP };
    rig.maps.service.set(frontend, { address: web.ip, port: 80, flags: 0, id: 1 });
  }

  runCases(
    [
      {
        name: 'a tunnel leads to published ports',
        where: arriving,
        given: published,
        packet: call,
        verdict: 'redirect',
        becomes: delivered(packetTo(web, world.ip).tcp({ sourcePort: 5000, destinationPort: 80 }), web),
      },
      {
        name: 'an answer by a tunnel finds the container that asked',
        where: arriving,
        given: (rig) => {
          onePort(rig);
          pass(rig, leaving(web), packetFrom(web, world.ip).tcp({ sourcePort: 5000 }));
        },
        packet: answer,
        verdict: 'redirect',
        becomes: delivered(
          packetTo(web, world.ip).tcp({ sourcePort: 80, destinationPort: 5000, flags: 'SA' }),
          web,
        ),
      },
      {
        name: 'what else comes by a tunnel is the host’s',
        where: arriving,
        packet: call,
        verdict: 'untouched',
      },
    ],
    family,
  );
}
