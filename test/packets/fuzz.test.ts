import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DropReason, EndpointFlag } from '../../bpf/index.ts';
import { testRun } from '../../kernel/index.ts';
import { CASTS, host, partner, ROLES, web } from '../support/cast.ts';
import type { Role } from '../support/cast.ts';
import { readFrame } from '../support/frame.ts';
import { Random } from '../support/random.ts';
import { readDatagram } from './datagram.ts';
import { FrameSource } from './frame-source.ts';
import type { Shot } from './frame-source.ts';
import { isFromGateway, isGatewayAnswer, Model, SERVICES } from './model.ts';
import { isolation, PEER_ANY, PEER_NETWORK, PEER_WORLD } from './policy-entries.ts';
import type { Entry } from './policy-entries.ts';
import { Rig } from './rig.ts';

const FRAMES = 100_000;
const FRAMES_PER_POLICY = 1000;
const FRAMES_PER_DISGUISE = 300;
const SEED = Number(process.env['WEIR_FUZZ_SEED'] ?? 20_250_101);
const [OK, SHOT, REDIRECT, NEXT] = [0, 2, 7, 0xffff_ffff];
const AFTER_VERDICT: number[] = [
  DropReason.DROP_TTL_EXCEEDED,
  DropReason.DROP_NO_UPLINK,
  DropReason.DROP_FIB_FAILED,
  DropReason.DROP_NAT_UNSUPPORTED,
  DropReason.DROP_NO_MASQUERADE_PORT,
];
const ARP = 0x0806;
const IPV6 = 0x86dd;
const IDENTITIES = [...new Set(ROLES.map((role) => role.identity))];
const PEERS = [...IDENTITIES, PEER_ANY, PEER_NETWORK, PEER_WORLD, host.identity, partner.identity];
const PORTS = [undefined, undefined, 53, 80, 8, 13, 128, 40000];

/** A policy that says of one peer either what it may or what it may not, so that order does not matter. */
function randomPolicy(random: Random): Entry[] {
  return IDENTITIES.flatMap((subject) =>
    (['ingress', 'egress'] as const).flatMap((direction) => {
      const usual = isolation([subject]).filter((entry) => entry.direction === direction);
      if (random.once(3)) return usual;
      return Array.from({ length: random.below(4) }, (): Entry[] => {
        const peer = random.pick(PEERS);
        const verdict = random.once(4) ? 'deny' : 'allow';
        return randomEntry({ subject, direction, peer, verdict }, random);
      })
        .flat()
        .filter((entry, i, all) => all.findIndex(({ peer }) => peer === entry.peer) === i);
    }),
  );
}

function randomEntry(entry: Entry, random: Random): Entry[] {
  const protocol = random.pick([undefined, undefined, 6, 17, 1, 58]);
  const port = random.pick(PORTS);
  if (protocol === undefined) return [entry];
  return port === undefined
    ? [{ ...entry, protocol }]
    : [{ ...entry, protocol, port, portBits: random.pick([16, 12]) }];
}

const rig = new Rig();
after(() => rig.close());
const model = new Model();
for (const [key, { name, port }] of SERVICES) {
  const [protocol = 0, hostPort = 0] = key.split(' ').map(Number);
  const { ip4, ip6 } = roleNamed(ROLES.find((role) => role.name === name));
  for (const [address, target] of [['0.0.0.0', ip4] as const, ['::', ip6] as const])
    rig.maps.service.set({ address, port: hostPort, protocol }, { address: target, port, flags: 0, id: 1 });
}
const random = new Random(SEED);
const source = new FrameSource(random);
/** Frames that came in by a published port. */
let arrived = 0;

/** Another policy, under a generation of its own. */
function rewritePolicy(): void {
  model.entries = randomPolicy(random);
  rig.policy(model.entries.map(portAligned), rig.generation + 1);
}

/** Some containers are somebody else, unknown, or kept from the world from now on; the policy stays as it is. */
function disguise(): void {
  model.withoutWorld.clear();
  if (random.once(4)) model.withoutWorld.add(random.pick(ROLES).container);
  const identities = new Map(
    ROLES.map((role) => [role.container, random.once(2) ? role.identity : random.pick([0, ...IDENTITIES])]),
  );
  for (const role of model.roles) {
    role.identity = identities.get(role.container) ?? 0;
    rig.place(role, { flags: model.withoutWorld.has(role.container) ? EndpointFlag.ENDPOINT_NO_WORLD : 0 });
  }
}

/** The trie wants the bits that do not count to be zero. */
function portAligned(entry: Entry): Entry {
  const { port, portBits = 16 } = entry;
  return port === undefined ? entry : { ...entry, port: (port >> (16 - portBits)) << (16 - portBits) };
}

/** Whether the model lets this frame come out as it did. What was dropped late had been admitted. */
function isRight(shot: Shot, action: number, out: Buffer): boolean {
  const { where, frame } = shot;
  const device = roleNamed(shot.role);
  if (where.program === 'from_uplink') return action !== REDIRECT || mayComeIn(frame, out);
  if (where.program === 'to_container') return action === SHOT || isRightEntry(device, frame);
  if (action === SHOT) return !wasDroppedLate() || model.mayLeave(device, frame);
  if (isGatewayAnswer(device, frame) && action === REDIRECT) return true;
  if (frame.readUInt16BE(12) === ARP) return action === OK && isOwnArp(device, frame);
  return isRightDeparture(device, frame, { action, out });
}

function mayComeIn(frame: Buffer, out: Buffer): boolean {
  if (model.mayAnswer(frame, out)) return true;
  const may = model.mayArrive(frame, out);
  if (may) arrived += 1;
  return may;
}

function isRightDeparture(
  device: Role,
  frame: Buffer,
  { action, out }: { action: number; out: Buffer },
): boolean {
  return model.mayLeave(device, frame) && (action === OK ? goesToHost(frame) : goesWhereItShould(frame, out));
}

function isRightEntry(device: Role, frame: Buffer): boolean {
  return frame.readUInt16BE(12) === ARP || isFromGateway(frame) || model.mayEnter(device, frame);
}

function roleNamed(role: Role | undefined): Role {
  return model.roles.find(({ name }) => name === role?.name) ?? web;
}

/** By reasons that come after the verdict: the flow is known, though this packet did not get through. */
function wasDroppedLate(): boolean {
  const reason = rig.events().at(-1)?.reason ?? DropReason.DROP_NONE;
  return AFTER_VERDICT.includes(reason);
}

function isOwnArp(device: Role, frame: Buffer): boolean {
  return ROLES.some(
    (role) => role.container === device.container && role.ip4 === frame.subarray(28, 32).join('.'),
  );
}

function goesToHost(frame: Buffer): boolean {
  const destination = readDatagram(frame)?.destination;
  return CASTS.some(({ host, uplink }) => destination === host.ip || destination === uplink.ip);
}

function goesWhereItShould(frame: Buffer, out: Buffer): boolean {
  const destination = readDatagram(out)?.destination;
  const to = ROLES.find((role) => role.ip4 === destination || role.ip6 === destination);
  const life = frame.readUInt16BE(12) === IPV6 ? 21 : 22;
  if (out.readUInt8(life) !== frame.readUInt8(life) - 1) return false;
  if (to !== undefined) {
    model.noteSelf(frame, out);
    return out.subarray(0, 6).toString('hex') === to.mac.replaceAll(':', '');
  }
  const isDeparture = model.noteDeparture(frame, out);
  if (isDeparture) source.noteDeparture(out);
  return isDeparture;
}

test(`of ${FRAMES} random and mutated frames none passes that policy denies`, () => {
  const count = { forwarded: 0, ofIpv6: 0, dropped: 0, untouched: 0, toWorld: 0, answers: 0 };
  for (let i = 0; i < FRAMES; i++) {
    if (i % FRAMES_PER_POLICY === 0) rewritePolicy();
    if (i % FRAMES_PER_DISGUISE === 0) disguise();
    const shot = source.next();
    const { program, device } = shot.where;
    const ran = testRun(rig.programFd(program), {
      data: shot.frame,
      context: { ifindex: rig.ifindex(device) },
    });
    assert.ok(
      [program === 'from_uplink' ? NEXT : OK, SHOT, REDIRECT].includes(ran.retval),
      `frame ${i} of seed ${SEED}: ${program} returned ${ran.retval}`,
    );
    if (!isRight(shot, ran.retval, ran.data)) {
      const [before, now] = [readFrame(shot.frame), readFrame(ran.data)];
      assert.fail(
        `frame ${i} of seed ${SEED}: ${program} of ${device} gave ${ran.retval}: ${JSON.stringify({ before, now })}`,
      );
    }
    rig.events();
    if (ran.retval === SHOT) count.dropped += 1;
    else if (program === 'from_uplink') count[ran.retval === NEXT ? 'untouched' : 'answers'] += 1;
    else {
      count.forwarded += 1;
      if (shot.frame.readUInt16BE(12) === IPV6) count.ofIpv6 += 1;
    }
  }
  // a run in which nothing passes proves nothing
  assert.ok(count.forwarded > FRAMES / 20, JSON.stringify(count));
  assert.ok(count.ofIpv6 > FRAMES / 50, JSON.stringify(count));
  assert.ok(count.answers > FRAMES / 1000, JSON.stringify(count));
  assert.ok(arrived > FRAMES / 2000, `${arrived} by published ports`);
  assert.ok(count.dropped > FRAMES / 20, JSON.stringify(count));
});
