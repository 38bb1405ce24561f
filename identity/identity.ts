/** A number and the label set it stands for; `labels` is canonical and belongs to the identity: do not change it. */
export interface Identity {
  id: number;
  labels: string[];
}

/** First number that label sets of containers get; below are reserved, well-known and user-fixed ones. */
export const FIRST_ENDPOINT_IDENTITY = 256;
/** Last number of 16 bits; the bits above carry a cluster's id and the scope. */
export const LAST_ENDPOINT_IDENTITY = 65_535;
/** First number of the local scope (bit 24), which never leaves the host: identities of address ranges. */
export const FIRST_CIDR_IDENTITY = 0x100_0001;

export function isReserved(id: number): boolean {
  return id < FIRST_ENDPOINT_IDENTITY;
}

/** Whether the number stands for an address range outside. */
export function isCidrIdentity(id: number): boolean {
  return id >= FIRST_CIDR_IDENTITY && id < 0x200_0000;
}

/** Whether the number stands for the label set of containers. */
export function isEndpointIdentity(id: number): boolean {
  return id >= FIRST_ENDPOINT_IDENTITY && id < 0x100_0000;
}
