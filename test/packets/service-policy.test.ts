/** Published ports and policy: what the default opens, and what closes it. */
import { CASTS } from '../support/cast.ts';
import { arriving, delivered, entering, leaving, runCases } from './case.ts';
import { PEER_WORLD, selecting } from './policy-entries.ts';
import { PORT, publicationOf, publish, TCP } from './published.ts';

for (const cast of CASTS) {
  const { family, client, host, partner, uplink, web } = cast;
  const { published, call, callInside, answer, hairpin } = publicationOf(cast);

  runCases(
    [
      {
        name: 'policy that does not admit the world closes the port',
        where: arriving,
        given: (rig) => {
          publish(rig, web);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: client.identity }]));
        },
        packet: call,
        verdict: 'DROP_POLICY',
        events: ['verdict ingress deny 133 rule 0 none', 'drop 133 ingress'],
      },
      {
        name: 'and cuts what is open',
        where: leaving(web),
        given: (rig) => {
          published([arriving, call])(rig);
          rig.policy(selecting(web.identity, 'ingress', []), 8);
        },
        packet: answer,
        verdict: 'DROP_POLICY',
      },
      {
        name: 'one that admits a range opens it to the range',
        where: arriving,
        given: (rig) => {
          publish(rig, web);
          rig.policy(
            selecting(web.identity, 'ingress', [{ peer: partner.identity, protocol: TCP, port: 80 }]),
          );
        },
        packet: call.ip({ source: partner.ip }),
        verdict: 'redirect',
        becomes: delivered(callInside.ip({ source: partner.ip }), web),
        events: ['verdict ingress allow rule 1 L3-L4', 'trace TO_ENDPOINT ingress'],
      },
      {
        name: 'a denial stands before the default that opens published ports',
        where: arriving,
        given: (rig) => {
          publish(rig, web);
          const denied = { subject: web.identity, direction: 'ingress', peer: PEER_WORLD, rule: 1 } as const;
          rig.policy([...selecting(-1, 'ingress', []), { ...denied, verdict: 'deny' }]);
        },
        packet: call,
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'a connection that policy still admits under another revision keeps its name',
        where: leaving(web),
        given: (rig) => {
          published([arriving, call])(rig);
          rig.policy(selecting(web.identity, 'ingress', [{ peer: PEER_WORLD }]), 8);
        },
        packet: answer,
        verdict: 'redirect',
        becomes: answer.ip({ source: uplink.ip, ttl: 63 }).tcp({ sourcePort: PORT }),
        events: ['verdict ingress allow rule 1 L3-Only', 'trace TO_NETWORK egress'],
      },
      {
        name: 'what is open by its port alone is not open past it',
        where: entering(web),
        given: published([arriving, call]),
        packet: callInside,
        verdict: 'DROP_PORT_CLASH',
      },
      {
        name: 'policy sees the container behind the port, whoever asks',
        where: leaving(client),
        given: (rig) => {
          publish(rig, web);
          rig.policy(selecting(client.identity, 'egress', [{ peer: host.identity }]));
        },
        packet: hairpin(client),
        verdict: 'DROP_POLICY',
        events: ['verdict egress deny 133 rule 0 none', 'drop 133 egress'],
      },
    ],
    family,
  );
}
