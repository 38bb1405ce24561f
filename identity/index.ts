/**
 * Identity floor: container labels → canonical label set → security identity (a number).
 * Promises: the same label set has the same number; a number is durable before anyone hears of it; one number is
 * never two label sets, and rests an hour after its last holder before it may mean something else.
 * Never: looks at Docker, BPF or policy. The store comes in as `IdentityRecords`, the time as a `Clock`.
 * Trap: after a restart nobody holds anything until the restored endpoints `acquire` again; do that before `collect`.
 */
export { type CidrIdentity, CidrIdentities } from './cidr-identities.ts';
export { type Identity, isCidrIdentity, isEndpointIdentity } from './identity.ts';
export { type IdentityRecords, type HeldIdentity, IdentityAllocator } from './identity-allocator.ts';
export {
  type Label,
  NETWORK_LABEL,
  canonicalLabels,
  formatLabel,
  isLabelSource,
  networkLabel,
  parseLabel,
} from './label.ts';
export { LabelFilter } from './label-filter.ts';
export { RESERVED, type ReservedName, reservedIdentities } from './reserved.ts';
