/** A container that opens connections as fast as it can: what becomes of those of others in the table they share. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { CtFlag, TraceLevel } from '../../bpf/index.ts';
import { testRun } from '../../kernel/index.ts';
import { client, db, web } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import { leaving, packetFrom, pass } from './case.ts';
import { selecting } from './policy-entries.ts';
import { Rig } from './rig.ts';

const CONNECTIONS = 200;
/** Half as many again as the table holds. */
const FLOOD = 100_000;
/** New connections between two packets of one that is in use. */
const BETWEEN = 20_000;
const SOURCE_PORT = 34;
const DESTINATION_PORT = 36;
const PORTS = 60_000;

const rig = new Rig();
after(() => rig.close());

const packet = (at: number, flags: string): Packet =>
  packetFrom(web, db.ip).tcp({ sourcePort: 10_000 + at, destinationPort: 80, flags });
const answer = (at: number, flags: string): Packet =>
  packetFrom(db, web.ip).tcp({ sourcePort: 80, destinationPort: 10_000 + at, flags });

/** The program's verdict on a frame, and nothing else looked at. */
function run(role: Role, data: Buffer): number {
  const context = { ifindex: rig.ifindex(role.name), ingressIfindex: 0 };
  return testRun(rig.programFd('from_container'), { data, context }).retval;
}

/** web has connections to db, which may open none itself. */
function connect(): void {
  rig.reset();
  rig.configure({ traceLevel: TraceLevel.TRACE_NONE });
  rig.policy(selecting(db.identity, 'egress', []));
  for (let at = 0; at < CONNECTIONS; at++) {
    pass(rig, leaving(web), packet(at, 'S'));
    pass(rig, leaving(db), answer(at, 'SA'));
    pass(rig, leaving(web), packet(at, 'A'));
  }
}

/** client opens connections to web and speaks on each twice; `meanwhile` runs every so often. */
function flood(meanwhile: () => void): void {
  const frame = packetFrom(client, web.ip).tcp().bytes();
  for (let number = 0; number < FLOOD; number++) {
    frame.writeUInt16BE(1 + (number % PORTS), SOURCE_PORT);
    frame.writeUInt16BE(1 + Math.floor(number / PORTS), DESTINATION_PORT);
    for (const _ of [1, 2]) assert.equal(run(client, frame), 7, 'the flood is let through');
    if (number % BETWEEN === 0) meanwhile();
  }
}

/** How many of web's connections the table still knows as answered. */
function known(): number {
  return [...rig.maps.ct.entries()].filter(
    ([{ low, high }, { flags }]) => [low, high].includes(db.ip) && (flags & CtFlag.CT_REPLIED) !== 0,
  ).length;
}

test('connections in use stay in the table, however many others open', () => {
  connect();
  flood(() => {
    for (let at = 0; at < CONNECTIONS; at++) run(web, packet(at, 'A').bytes());
  });
  assert.ok(known() >= CONNECTIONS * 0.95, `${known()} of ${CONNECTIONS} are known`);
});

test('an idle one that had to go is taken up by its asker, and answered again from then on', () => {
  connect();
  flood(() => {});
  const lost = Array.from({ length: CONNECTIONS }, (_, at) => at).filter(
    (at) => run(db, answer(at, 'A').bytes()) !== 7,
  );
  assert.ok(lost.length > 0, 'the flood was too small to push anything out');
  for (const at of lost) {
    pass(rig, leaving(web), packet(at, 'A'));
    pass(rig, leaving(db), answer(at, 'A'));
  }
});
