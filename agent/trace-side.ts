/** Who is meant by a side of a trace: labels, an endpoint, an identity, or an address. Answers with labels. */
import { UserError, cidrContains, familyOf, parseCidr } from '../base/index.ts';
import type { api } from '../base/index.ts';
import { RESERVED } from '../identity/index.ts';
import { selectEndpoints, selectIdentity } from './api-select.ts';
import { Census } from './census.ts';
import type { Parts } from './parts.ts';

const ADDRESS_LABEL = 'cidr:';

/**
 * Throws UserError ENDPOINT_NOT_FOUND, ENDPOINT_AMBIGUOUS, IDENTITY_NOT_FOUND, BAD_CIDR, or TRACE_INVALID for an address
 * that is nobody's.
 */
export function labelsOfSide(
  parts: Parts,
  { labels = [], endpoint, identity, address }: api.TraceParty,
  endpoints: readonly api.Endpoint[],
): string[] {
  if (endpoint !== undefined) return selectIdentity([...endpoints], endpoint).labels;
  if (identity !== undefined) return labelsOfNumber(parts, identity);
  if (address !== undefined) return labelsAt(parts, address);
  const [only = '', ...others] = labels;
  return others.length === 0 && only.startsWith(ADDRESS_LABEL)
    ? labelsAt(parts, only.slice(ADDRESS_LABEL.length))
    : labels;
}

/** Whether policy is only audited there; a side that is no endpoint is as all endpoints are. */
export function isAudited(
  { datapath }: Pick<Parts, 'datapath'>,
  { endpoint, address }: api.TraceParty,
  endpoints: readonly api.Endpoint[],
): boolean {
  const isAt = ({ ipv4, ipv6 }: api.Endpoint): boolean => address === ipv4 || address === ipv6;
  const meant =
    endpoint === undefined
      ? endpoints.filter((each) => address !== undefined && isAt(each))
      : selectEndpoints([...endpoints], endpoint);
  return datapath.audit || (meant.length > 0 && meant.every(({ policy }) => policy.audit));
}

function labelsOfNumber({ labelsOf }: Parts, identity: number): string[] {
  const labels = labelsOf(identity);
  if (labels.length > 0) return labels;
  throw new UserError('IDENTITY_NOT_FOUND', `no identity ${identity} on this host`, {
    hint: 'weir identity list shows them',
  });
}

/** An address may be a container's, the host's, or outside; a range is outside. */
function labelsAt(parts: Parts, text: string): string[] {
  const cidr = parseCidr(text);
  const isAddress = cidr.length === (familyOf(cidr.address) === 4 ? 32 : 128);
  if (!isAddress) return [ADDRESS_LABEL + cidr.text];
  const { host, cluster } = parts.datapath.ipcache.sources;
  const isHost = host.some((address) => address === cidr.address);
  const peer = new Census(parts).at(cidr.address, isHost ? RESERVED.host : 0);
  if (peer !== undefined) return [...peer.labels];
  const around = cluster.find((range) => cidrContains(parseCidr(range), cidr));
  if (around === undefined) return [ADDRESS_LABEL + cidr.text];
  throw new UserError('TRACE_INVALID', `trace: nobody has ${cidr.address}, an address of ${around}`, {
    hint: 'weir ip list shows the addresses in use',
  });
}
