/** The host's own sockets kept out of the masquerade ports, whatever else an administrator has reserved. */
import { readSysctl, writeSysctl } from '../kernel/index.ts';

const RESERVED_PORTS = 'net.ipv4.ip_local_reserved_ports';

/** Both ends included. */
export interface PortRange {
  first: number;
  last: number;
}

/** What is left of a list like "22,8080-8090" without a range. The kernel merges ranges that touch, so they are cut apart again. */
export function withoutRange(reserved: string, { first: low, last: high }: PortRange): string[] {
  return reserved
    .split(',')
    .filter(Boolean)
    .flatMap((text) => {
      const [first = 0, last = first] = text.split('-').map(Number);
      if (last < low || first > high) return [text];
      return [...part(first, Math.min(last, low - 1)), ...part(Math.max(first, high + 1), last)];
    });
}

function part(first: number, last: number): string[] {
  if (first > last) return [];
  return [first === last ? String(first) : `${first}-${last}`];
}

/** The ports that the kernel gives to those who ask for any. */
export function localPorts(): PortRange {
  const [first = 32768, last = 60999] = (readSysctl('net.ipv4.ip_local_port_range') ?? '')
    .split(/\s+/)
    .filter(Boolean)
    .map(Number);
  return { first, last };
}

/** Reserves a range, in place of the one that was reserved before. */
export function reservePorts(range: PortRange, before?: PortRange): void {
  const present = readSysctl(RESERVED_PORTS) ?? '';
  const others = before === undefined ? present : withoutRange(present, before).join(',');
  const wanted = [...withoutRange(others, range), ...part(range.first, range.last)].join(',');
  if (wanted !== present) writeSysctl(RESERVED_PORTS, wanted);
}

/** Takes back what `reservePorts` did. */
export function releasePorts(range: PortRange): void {
  const present = readSysctl(RESERVED_PORTS) ?? '';
  const left = withoutRange(present, range).join(',');
  // an empty list is written as a line of its own
  if (left !== present) writeSysctl(RESERVED_PORTS, `${left}\n`);
}
