/** Masquerading in tests: with one port to choose from, what a packet becomes is known beforehand. */
import assert from 'node:assert/strict';
import type { NatEntry, NatKey } from '../../bpf/index.ts';
import { CASTS, NAT } from '../support/cast.ts';
import type { Packet } from '../support/packet.ts';
import type { Rig } from './rig.ts';

/** The port, or echo id, that every connection gets outside. */
export const OUTSIDE_PORT = NAT.low;

export function onePort(rig: Rig): void {
  rig.configure({ natLow: OUTSIDE_PORT, natHigh: OUTSIDE_PORT });
}

/** With the uplink's address and one hop less; the port is still to be given. The kernel frames it later. */
export function masqueraded(packet: Packet): Packet {
  const source = CASTS[packet.is6 ? 1 : 0]?.uplink.ip ?? '';
  return packet.ip({ source, ttl: 63 });
}

/** The one mapping there is. */
export function mapping(rig: Rig): [NatKey, NatEntry] {
  const entries = [...rig.maps.nat.entries()];
  assert.equal(entries.length, 1, `${entries.length} mappings where there should be one`);
  return entries[0] as [NatKey, NatEntry];
}
