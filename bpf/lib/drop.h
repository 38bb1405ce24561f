/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Drop reasons. Numbers are the field's (Cilium's monitor API) up to 205 and weir's own from 210; a number is never
 * reused. A function returns 0 or one of these; only an entry program turns it into an event and a counter.
 * The texts live in drop-reason.ts; a test holds both lists equal.
 */
#pragma once

enum drop_reason {
	DROP_NONE = 0,
	DROP_INVALID_SOURCE_MAC = 130,
	DROP_INVALID_DESTINATION_MAC = 131,
	DROP_INVALID_SOURCE_IP = 132,
	DROP_POLICY = 133,
	DROP_INVALID = 134,
	DROP_CT_INVALID_HEADER = 135,
	DROP_FRAGMENTATION_NEEDED = 136,
	DROP_UNSUPPORTED_L3 = 139,
	DROP_WRITE_ERROR = 141,
	DROP_UNKNOWN_L4 = 142,
	DROP_UNKNOWN_ICMP4_TYPE = 144,
	DROP_UNKNOWN_ICMP6_TYPE = 146,
	DROP_UNKNOWN_L3_TARGET = 150,
	DROP_STALE_OR_UNROUTABLE = 151,
	DROP_CT_INSERT_FAILED = 155,
	DROP_INVALID_EXTENSION_HEADER = 156,
	DROP_NO_CONNECTION = 163,
	DROP_NO_CONFIGURATION = 165,
	DROP_NAT_NO_MAPPING = 167,
	DROP_NAT_UNSUPPORTED = 168,
	DROP_FIB_FAILED = 169,
	DROP_INVALID_IDENTITY = 171,
	DROP_FRAGMENT_NOT_FOUND = 175,
	DROP_FORBIDDEN_ICMP6 = 176,
	DROP_POLICY_DENY = 181,
	DROP_VLAN = 182,
	DROP_TTL_EXCEEDED = 196,
	/* said to the neighbourhood, which ends at the host side: counted, and told at TRACE_MAX only */
	DROP_MULTICAST = 201,
	DROP_NO_UPLINK = 210,
	DROP_INTERNAL_NETWORK = 211,
	DROP_NO_MASQUERADE_PORT = 212,
	DROP_IP_OPTIONS = 213,
	DROP_BORROWED_HOST = 214,
	DROP_PORT_CLASH = 215,
};
