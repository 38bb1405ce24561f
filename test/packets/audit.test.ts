import assert from 'node:assert/strict';
import { ConfigFlag, CtFlag, EndpointFlag } from '../../bpf/index.ts';
import { CASTS } from '../support/cast.ts';
import { delivered, leaving, packetFrom, pass, runCases } from './case.ts';
import type { Case } from './case.ts';
import { isolation, PEER_NETWORK, selecting } from './policy-entries.ts';
import type { Rig } from './rig.ts';

const EGRESS = 'verdict egress allow rule 0 L3-Only';
const AUDITED = 'verdict ingress audit 133 rule 0 none';
const PASSED = 'trace TO_ENDPOINT egress';

for (const { family, db, host, stranger, web, world } of CASTS) {
  const syn = packetFrom(web, db.ip).tcp();
  const ack = syn.tcp({ flags: 'A' }).payload('data');
  const back = packetFrom(db, web.ip).tcp({ sourcePort: 80, destinationPort: 40000, flags: 'SA' });

  const closed = (rig: Rig): void => rig.policy(selecting(db.identity, 'ingress', []));
  /** db's policy denies web, and is only audited. */
  const byEndpoint = (rig: Rig): void => {
    closed(rig);
    rig.place(db, { flags: EndpointFlag.ENDPOINT_AUDIT });
  };
  const byConfig = (rig: Rig): void => {
    closed(rig);
    rig.configure({ flags: ConfigFlag.CONFIG_AUDIT });
  };
  const connected =
    (given: (rig: Rig) => void, change: (rig: Rig) => void = () => {}): ((rig: Rig) => void) =>
    (rig) => {
      given(rig);
      pass(rig, leaving(web), syn);
      pass(rig, leaving(db), back);
      pass(rig, leaving(web), ack);
      change(rig);
    };
  const passes = (name: string, given: (rig: Rig) => void, more: Partial<Case> = {}): Case => ({
    ...{ name, where: leaving(web), given, packet: syn, verdict: 'redirect', becomes: delivered(syn, db) },
    ...more,
  });
  const refused = (name: string, given: (rig: Rig) => void, more: Partial<Case> = {}): Case => ({
    ...{ name, where: leaving(web), given, packet: syn, verdict: 'DROP_POLICY' },
    ...more,
  });

  runCases(
    [
      passes('what an audited endpoint denies passes, and is told', byEndpoint, {
        events: [EGRESS, AUDITED, PASSED],
        check: (rig) => {
          const [entry] = [...rig.maps.ct.entries()].map(([, value]) => value);
          assert.equal(entry?.flags, CtFlag.CT_AUDIT_DESTINATION);
        },
      }),
      passes('so does what anyone denies where everything is audited', byConfig, {
        events: [EGRESS, AUDITED, PASSED],
      }),
      passes(
        'a deny by rule is told with the rule',
        (rig) => {
          byEndpoint(rig);
          const entries = [{ peer: PEER_NETWORK }, { peer: web.identity, verdict: 'deny' as const }];
          rig.policy(selecting(db.identity, 'ingress', entries));
        },
        { events: [EGRESS, 'verdict ingress audit 181 rule 2 L3-Only', PASSED] },
      ),
      passes(
        'both sides may be audited',
        (rig) => {
          rig.configure({ flags: ConfigFlag.CONFIG_AUDIT });
          rig.policy([]);
        },
        { events: ['verdict egress audit 133 rule 0 none', AUDITED, PASSED] },
      ),
      passes(
        'what an audited endpoint allows is as ever',
        (rig) => rig.place(db, { flags: EndpointFlag.ENDPOINT_AUDIT }),
        {
          events: [EGRESS, 'verdict ingress allow rule 0 L3-Only', PASSED],
          check: (rig) => assert.equal([...rig.maps.ct.entries()][0]?.[1].flags, 0),
        },
      ),
      refused('the audit of one side does not open the other', (rig) => {
        closed(rig);
        rig.place(web, { flags: EndpointFlag.ENDPOINT_AUDIT });
      }),
      passes('the connection goes on in silence', connected(byEndpoint), {
        packet: ack,
        becomes: delivered(ack, db),
        events: [],
      }),
      {
        name: 'and is answered',
        where: leaving(db),
        given: (rig) => {
          byEndpoint(rig);
          pass(rig, leaving(web), syn);
        },
        packet: back,
        verdict: 'redirect',
        becomes: delivered(back, web),
        events: [PASSED],
      },
      refused(
        'until the endpoint is no longer audited',
        connected(byEndpoint, (rig) => rig.place(db)),
        { packet: ack },
      ),
      refused(
        'or the host is not',
        connected(byConfig, (rig) => rig.configure({ flags: 0 })),
        { packet: ack },
      ),
      refused(
        'the other side’s audit does not keep it',
        connected(byEndpoint, (rig) => {
          rig.place(db);
          rig.place(web, { flags: EndpointFlag.ENDPOINT_AUDIT });
        }),
        { packet: ack },
      ),
      passes(
        'a new policy is told anew',
        connected(byConfig, (rig) => rig.policy(selecting(db.identity, 'ingress', []), 8)),
        {
          packet: ack,
          becomes: delivered(ack, db),
          events: [EGRESS, AUDITED, PASSED],
        },
      ),
      passes(
        'one that allows it ends the audit',
        connected(byConfig, (rig) => rig.policy(isolation(), 8)),
        {
          packet: ack,
          becomes: delivered(ack, db),
          check: (rig) => assert.equal([...rig.maps.ct.entries()][0]?.[1].flags, CtFlag.CT_REPLIED),
        },
      ),
      {
        name: 'audit is of policy alone: nobody borrows an address',
        where: leaving(web),
        given: byConfig,
        packet: syn.ip({ source: stranger.ip }),
        verdict: 'DROP_INVALID_SOURCE_IP',
      },
      {
        name: 'nor does an internal network reach the world',
        where: leaving(web),
        given: (rig) => {
          byConfig(rig);
          rig.place(web, { flags: EndpointFlag.ENDPOINT_NO_WORLD | EndpointFlag.ENDPOINT_AUDIT });
        },
        packet: packetFrom(web, world.ip).tcp(),
        verdict: 'DROP_INTERNAL_NETWORK',
      },
      {
        name: 'nor does an answer that answers nothing pass',
        where: leaving(web),
        given: byConfig,
        packet: packetFrom(web, host.ip).icmp({ type: family === 'IPv4' ? 0 : 129 }),
        verdict: 'DROP_NO_CONNECTION',
      },
      {
        name: 'nor somebody who is not known yet',
        where: leaving(web),
        given: (rig) => {
          byConfig(rig);
          rig.place(web, { identity: 0, flags: EndpointFlag.ENDPOINT_AUDIT });
        },
        packet: syn,
        verdict: 'DROP_INVALID_IDENTITY',
      },
    ],
    family,
  );
}
