import assert from 'node:assert/strict';
import { CASTS } from '../support/cast.ts';
import { entering, forwarded, leaving, packetFrom, packetTo, pass, runCases } from './case.ts';
import { isolation, selecting } from './policy-entries.ts';

for (const { family, host, uplink, web, webBack } of CASTS) {
  const toHost = packetFrom(web, host.ip).tcp({ destinationPort: 22 });
  const fromHost = packetTo(web, host.ip).tcp({ sourcePort: 22, destinationPort: 40000, flags: 'SA' });

  runCases(
    [
      {
        name: 'what a container sends to its host goes to the host’s stack as it is',
        where: leaving(web),
        packet: toHost,
        verdict: 'stack',
        events: ['verdict egress allow rule 0 L3-Only', 'trace TO_STACK egress'],
      },
      {
        name: 'every address of the host is the host',
        where: leaving(web),
        packet: toHost.ip({ destination: uplink.ip }),
        verdict: 'stack',
      },
      {
        name: 'policy may deny the host',
        where: leaving(web),
        given: (rig) =>
          rig.policy(selecting(web.identity, 'egress', [{ peer: host.identity, verdict: 'deny' }])),
        packet: toHost,
        verdict: 'DROP_POLICY_DENY',
      },
      {
        name: 'the host’s answer comes in on the connection',
        where: entering(web),
        given: (rig) => {
          rig.policy(selecting(web.identity, 'ingress', []));
          pass(rig, leaving(web), toHost);
        },
        packet: fromHost,
        verdict: 'stack',
        events: ['trace TO_ENDPOINT ingress'],
        check: (rig) => {
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.deepEqual([entry?.sourceEndpoint, entry?.destinationEndpoint], [web.id, 0]);
        },
      },
      {
        name: 'the host may reach a container while policy does not forbid it',
        where: entering(web),
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'stack',
        events: ['verdict ingress allow rule 0 L3-Only', 'trace TO_ENDPOINT ingress'],
        check: (_, { events }) => {
          assert.deepEqual(
            [events[0]?.sourceIdentity, events[0]?.destinationIdentity],
            [host.identity, web.identity],
          );
          assert.deepEqual([events[0]?.sourceEndpoint, events[0]?.destinationEndpoint], [0, web.id]);
        },
      },
      {
        name: 'whom the host masquerades is not the host',
        where: forwarded(web),
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_BORROWED_HOST',
        events: ['drop 214 ingress'],
        check: (rig) => assert.deepEqual([...rig.maps.ct.entries()], []),
      },
      {
        name: 'nor may it take over a connection of the host that has ended',
        where: forwarded(web),
        given: (rig) => {
          pass(rig, entering(web), packetTo(web, host.ip).tcp());
          pass(rig, entering(web), packetTo(web, host.ip).tcp({ flags: 'RA' }));
        },
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_BORROWED_HOST',
      },
      {
        name: 'an answer that the host forwards in its own name passes: the container asked the host',
        where: forwarded(web),
        given: (rig) => pass(rig, leaving(web), toHost),
        packet: fromHost,
        verdict: 'stack',
      },
      {
        name: 'but not where an identity has no policy yet',
        where: entering(web),
        given: (rig) => rig.policy(isolation([])),
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_POLICY',
      },
      {
        name: 'nor before its identity is known',
        where: entering(web),
        given: (rig) => rig.place(web, { identity: 0 }),
        packet: packetTo(web, host.ip).tcp(),
        verdict: 'DROP_INVALID_IDENTITY',
      },
      {
        name: 'the container’s answer to the host passes under a policy that lets it open nothing',
        where: leaving(web),
        given: (rig) => {
          rig.policy(selecting(web.identity, 'egress', []));
          pass(rig, entering(web), packetTo(web, host.ip).tcp());
        },
        packet: packetFrom(web, host.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' }),
        verdict: 'stack',
        events: ['trace TO_STACK egress'],
      },
      {
        name: 'an answer may leave by the other interface of the container',
        where: { program: 'from_container', device: webBack.name },
        given: (rig) => {
          rig.policy(selecting(web.identity, 'egress', []));
          pass(rig, entering(web), packetTo(web, host.ip).tcp());
        },
        packet: packetFrom(webBack, host.ip)
          .ip({ source: web.ip })
          .tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' }),
        verdict: 'stack',
      },
    ],
    family,
  );
}
