/** Names of what a packet header says: protocol numbers, TCP flags, ICMP types. */
const PROTOCOLS: Record<number, string> = { 1: 'ICMPv4', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };

const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;

const ICMP4: Record<number, string> = {
  0: 'EchoReply',
  3: 'DestinationUnreachable',
  5: 'Redirect',
  8: 'EchoRequest',
  9: 'RouterAdvertisement',
  10: 'RouterSolicitation',
  11: 'TimeExceeded',
  12: 'ParameterProblem',
  13: 'Timestamp',
  14: 'TimestampReply',
};

const ICMP6: Record<number, string> = {
  1: 'DestinationUnreachable',
  2: 'PacketTooBig',
  3: 'TimeExceeded',
  4: 'ParameterProblem',
  128: 'EchoRequest',
  129: 'EchoReply',
  133: 'RouterSolicitation',
  134: 'RouterAdvertisement',
  135: 'NeighborSolicitation',
  136: 'NeighborAdvertisement',
  137: 'Redirect',
};

/** "TCP", "ICMPv6", or the number as text. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? String(protocol);
}

/** Whether the two bytes pairs behind the header are ports. */
export function hasPorts(protocol: number): boolean {
  return protocol === 6 || protocol === 17 || protocol === 132;
}

export function isIcmp(protocol: number): boolean {
  return protocol === 1 || protocol === 58;
}

/** Flags in the order that readers know from tcpdump: SYN before ACK. */
export function tcpFlagNames(flags: number): string[] {
  return TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0);
}

/** "EchoRequest", or the number as text. */
export function icmpName(protocol: number, type: number): string {
  return (protocol === 58 ? ICMP6 : ICMP4)[type] ?? String(type);
}
