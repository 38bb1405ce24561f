import type { Identity } from './identity.ts';

/** Numbers with a fixed meaning, the same on every host. 0 is "unknown" and never an identity. */
export const RESERVED = {
  host: 1,
  world: 2,
  unmanaged: 3,
  health: 4,
  /** An endpoint whose labels are not known yet: denied until they are. */
  init: 5,
  'remote-node': 6,
  'kube-apiserver': 7,
  ingress: 8,
  'world-ipv4': 9,
  'world-ipv6': 10,
} as const;

export type ReservedName = keyof typeof RESERVED;

/** All reserved identities with their one label `reserved:<name>`, by number. */
export function reservedIdentities(): Identity[] {
  return Object.entries(RESERVED).map(([name, id]) => ({ id, labels: [`reserved:${name}`] }));
}
