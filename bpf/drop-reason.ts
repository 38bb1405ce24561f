/** Texts of the drop reasons in lib/drop.h: the field's up to 205, weir's own from 210. */
import { DropReason as codes } from './layout.gen.ts';

const TEXT: Record<keyof typeof codes, string> = {
  DROP_NONE: 'Success',
  DROP_INVALID_SOURCE_MAC: 'Invalid source mac',
  DROP_INVALID_DESTINATION_MAC: 'Invalid destination mac',
  DROP_INVALID_SOURCE_IP: 'Invalid source ip',
  DROP_POLICY: 'Policy denied',
  DROP_INVALID: 'Invalid packet',
  DROP_CT_INVALID_HEADER: 'CT: Truncated or invalid header',
  DROP_FRAGMENTATION_NEEDED: 'Fragmentation needed',
  DROP_UNSUPPORTED_L3: 'Unsupported L3 protocol',
  DROP_WRITE_ERROR: 'Error writing to packet',
  DROP_UNKNOWN_L4: 'Unknown L4 protocol',
  DROP_UNKNOWN_ICMP4_TYPE: 'Unknown ICMPv4 type',
  DROP_UNKNOWN_ICMP6_TYPE: 'Unknown ICMPv6 type',
  DROP_UNKNOWN_L3_TARGET: 'Unknown L3 target address',
  DROP_STALE_OR_UNROUTABLE: 'Stale or unroutable IP',
  DROP_CT_INSERT_FAILED: 'CT: Map insertion failed',
  DROP_INVALID_EXTENSION_HEADER: 'Invalid IPv6 extension header',
  DROP_NO_CONNECTION: 'Unknown connection tracking state',
  DROP_NO_CONFIGURATION: 'No configuration available to perform policy decision',
  DROP_NAT_NO_MAPPING: 'No mapping for NAT masquerade',
  DROP_NAT_UNSUPPORTED: 'Unsupported protocol for NAT masquerade',
  DROP_FIB_FAILED: 'FIB lookup failed',
  DROP_INVALID_IDENTITY: 'Invalid identity',
  DROP_FRAGMENT_NOT_FOUND: 'First logical datagram fragment not found',
  DROP_FORBIDDEN_ICMP6: 'Forbidden ICMPv6 message',
  DROP_POLICY_DENY: 'Policy denied by denylist',
  DROP_VLAN: 'VLAN traffic disallowed by VLAN filter',
  DROP_TTL_EXCEEDED: 'TTL exceeded',
  DROP_MULTICAST: 'Multicast handled',
  DROP_NO_UPLINK: 'No uplink towards destination',
  DROP_INTERNAL_NETWORK: 'World denied on internal network',
  DROP_NO_MASQUERADE_PORT: 'No free masquerade port',
  DROP_IP_OPTIONS: 'IP options not supported',
  DROP_BORROWED_HOST: 'Masqueraded as the host',
  DROP_PORT_CLASH: 'Connection from the same port exists under another name',
};

const BY_CODE = new Map(
  Object.entries(TEXT).map(([name, text]) => [codes[name as keyof typeof codes] as number, text]),
);

/** What a drop code means, in the words of the field's monitor; "reason N" for a number nobody knows. */
export function dropReason(code: number): string {
  return BY_CODE.get(code) ?? `reason ${code}`;
}
