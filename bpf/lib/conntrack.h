/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Connections. Both directions of a flow meet in one entry: the key holds the two ends in a fixed order, the entry
 * says which of them asked. An entry admits packets only while everything it was decided on still holds: the policy
 * generation, both identities and both endpoints; otherwise the flow is decided anew, on its original tuple.
 *
 * Races: two CPUs may write one entry at once. Each writes a whole, true entry for the same flow, so the worst result
 * is one lost flag, set again by the next packet.
 */
#pragma once
#include "packet.h"

/* Time is counted in ticks of 2^30 ns (1.07 s): a shift instead of a division, and fine enough for timeouts. */
#define TICK_SHIFT 30
#define CT_TICKS_SYN 56
#define CT_TICKS_ESTABLISHED 20117 /* 6 h */
#define CT_TICKS_CLOSING 10
#define CT_TICKS_UNREPLIED 30
#define CT_TICKS_REPLIED 168

enum ct_state { CT_NEW = 0, CT_ESTABLISHED = 1, CT_REPLY = 2, CT_RELATED = 3 };

enum ct_flag {
	CT_HIGH_ASKED = 1, /* the end that comes second in the key opened the flow */
	CT_REPLIED = 2,
	CT_FIN_ASKER = 4,
	CT_FIN_ANSWERER = 8,
	CT_RESET = 16,
	CT_SERVICE = 32,      /* it came in by a published port */
	CT_AUDIT_SOURCE = 64, /* the policy of this side denies it, but is only audited */
	CT_AUDIT_DESTINATION = 128,
};

#define CT_AUDITED (CT_AUDIT_SOURCE | CT_AUDIT_DESTINATION)

struct ct_key {
	struct addr low;
	struct addr high;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 high_asks; /* ICMP only: both ends may ask with one id, or say the same, and those are two flows */
	__u8 message;	/* ICMP: type of what is no echo */
	__u8 unused;
};

/* Where an end is, if it is an endpoint of this host: what the fast path needs to know to hand its packets on. */
struct ct_end {
	__u32 ifindex; /* host side of its veth pair; 0 = not on this host */
	__u8 mac[6];
	__u8 gateway_mac[6];
};

/* Source and destination are those of the first packet. */
struct ct_entry {
	__u32 expires; /* tick */
	__u32 generation;
	__u32 source_identity;
	__u32 destination_identity;
	__u16 source_endpoint; /* 0 = not on this host */
	__u16 destination_endpoint;
	__be16 nat_port; /* port or echo id it has outside, 0 = not translated */
	__be16 frontend_port;
	__u32 stamp; /* when it was last written, by the coarse clock */
	__u32 epoch; /* of the endpoints it was last written on */
	struct ct_end low;
	struct ct_end high;
	struct addr frontend; /* with its port: what the asker took for the destination, where CT_SERVICE is set */
	__u8 flags;	      /* enum ct_flag */
	__u8 unused[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ct_key);
	__type(value, struct ct_entry);
} weir_ct SEC(".maps");

/* Fills the key; returns whether the tuple's source is the high end. */
static __always_inline bool ct_key_of(const struct tuple *tuple, struct ct_key *key)
{
	bool high = addr_equal(&tuple->source, &tuple->destination) ? tuple->source_port > tuple->destination_port
								    : addr_less(&tuple->destination, &tuple->source);

	key->low = high ? tuple->destination : tuple->source;
	key->high = high ? tuple->source : tuple->destination;
	key->low_port = high ? tuple->destination_port : tuple->source_port;
	key->high_port = high ? tuple->source_port : tuple->destination_port;
	key->protocol = tuple->protocol;
	key->high_asks = is_icmp(tuple->protocol) && high != tuple->answers;
	key->message = tuple->message;
	key->unused = 0;
	return high;
}

static __always_inline __u32 tick_now(void)
{
	return bpf_ktime_get_ns() >> TICK_SHIFT;
}

/*
 * A clock that costs nothing, and changes every 32 to 320 ms: an entry written within its present period is neither
 * expired nor worth writing again, so a busy connection reads the real clock and dirties its cache line rarely.
 */
static __always_inline __u32 ct_stamp(void)
{
	return bpf_jiffies64() >> 5;
}

static __always_inline __u32 ct_lifetime(__u8 protocol, __u8 flags)
{
	if (protocol != IPPROTO_TCP)
		return flags & CT_REPLIED ? CT_TICKS_REPLIED : CT_TICKS_UNREPLIED;
	if ((flags & CT_RESET) || (flags & (CT_FIN_ASKER | CT_FIN_ANSWERER)) == (CT_FIN_ASKER | CT_FIN_ANSWERER))
		return CT_TICKS_CLOSING;
	return flags & CT_REPLIED ? CT_TICKS_ESTABLISHED : CT_TICKS_SYN;
}

/* A bare SYN opens a connection: it may not ride on the answers of another, nor on one that is over. */
static __always_inline bool ct_is_reopened(__u8 flags, __u8 tcp_flags, bool reply)
{
	if ((tcp_flags & (TCP_FLAG_SYN_BIT | TCP_FLAG_ACK_BIT)) != TCP_FLAG_SYN_BIT)
		return false;
	return reply || (flags & (CT_RESET | CT_FIN_ASKER | CT_FIN_ANSWERER));
}

/* The flags of a connection after one more packet. An error says nothing about it. */
static __always_inline __u8 ct_flags_after(__u8 flags, const struct packet *packet, bool reply)
{
	if (packet->is_error)
		return flags;
	if (reply)
		flags |= CT_REPLIED;
	if (packet->tcp_flags & TCP_FLAG_RST_BIT)
		flags |= CT_RESET;
	if (packet->tcp_flags & TCP_FLAG_FIN_BIT)
		flags |= reply ? CT_FIN_ANSWERER : CT_FIN_ASKER;
	return flags;
}
