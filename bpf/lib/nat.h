/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Masquerading: what a container sends to the world leaves with the uplink's address and a port (TCP, UDP) or id (ICMP
 * echo) from a range that the host itself never uses. The connection remembers its port; this map leads back. Both live
 * equally long.
 */
#pragma once
#include "verdict.h"

/* All zero: none. A bridge of the host has neither: it brings in what asks for published ports, and answers leave by it. */
struct uplink {
	struct addr ip4;
	struct addr ip6;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct uplink);
} weir_uplink SEC(".maps");

static __always_inline bool uplink_is_bridge(const struct uplink *uplink)
{
	return addr_is_none(&uplink->ip4) && addr_is_none(&uplink->ip6);
}

/* As an answer from outside says it. For ICMP echo the remote port is 0 and the local one the id. */
struct nat_key {
	struct addr remote;
	struct addr local;
	__be16 remote_port;
	__be16 local_port;
	__u8 protocol;
	__u8 unused[3];
};

struct nat_entry {
	struct addr address; /* the container's */
	__be16 port;
	__u16 unused;
	__u32 expires; /* tick; from then on the port may serve another connection to the same remote */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct nat_key);
	__type(value, struct nat_entry);
} weir_nat SEC(".maps");

#define NAT_TRIES 32

static __always_inline __u32 nat_fold(const struct addr *address)
{
	return address->word[0] * 31 + address->word[1] * 17 + address->word[2] * 7 + address->word[3];
}

static __always_inline __u32 nat_hash(const struct tuple *tuple)
{
	__u32 h = nat_fold(&tuple->source) * 0x9e3779b1u;

	h ^= nat_fold(&tuple->destination) * 0x85ebca6bu;
	h ^= ((__u32)tuple->source_port << 16 | tuple->destination_port) * 0xc2b2ae35u;
	h ^= h >> 15;
	h *= 0x27d4eb2fu;
	return h ^ h >> 13;
}

/*
 * Makes a port the connection's, if it is that already, if nobody has it any more, or, where `ending`, if it is of a
 * connection that is about to end. Returns whether it did; the rewrite knows the port then.
 */
__noinline int nat_take(__u32 port, __u32 ending)
{
	struct context *context = context_get();
	struct nat_entry wanted = {}, *entry;
	const struct tuple *tuple;
	struct nat_key key = {};
	__u32 until;

	if (!context)
		return false;
	tuple = &context->packet.tuple;
	context->rewrite.new_port = bpf_htons(port);
	key.remote = tuple->destination;
	key.local = context->rewrite.new_address;
	key.remote_port = tuple->destination_port;
	key.local_port = context->rewrite.new_port;
	key.protocol = tuple->protocol;
	wanted.address = tuple->source;
	wanted.port = tuple->source_port;
	wanted.expires = context->expires;
	entry = bpf_map_lookup_elem(&weir_nat, &key);
	if (!entry)
		return bpf_map_update_elem(&weir_nat, &key, &wanted, BPF_NOEXIST) == 0;
	if (entry->port == wanted.port && addr_equal(&entry->address, &wanted.address)) {
		if (entry->expires != wanted.expires)
			entry->expires = wanted.expires;
		return true;
	}
	until = tick_now() + (ending ? CT_TICKS_CLOSING + 1 : 0);
	return entry->expires < until && bpf_map_update_elem(&weir_nat, &key, &wanted, BPF_EXIST) == 0;
}

/*
 * Looks for a port near the connection's hash, so that one whose entry was evicted finds its old port again. Returns
 * whether there was one. Unrolled: older kernels (6.1 is one) take a loop only in some of the shapes clang gives it.
 */
__noinline int nat_search(__u32 ending)
{
	const struct config *config = config_get();
	const struct context *context = context_get();
	__u32 start, range;

	if (!context || !config)
		return false;
	range = config->nat_high - config->nat_low + 1;
	start = nat_hash(&context->packet.tuple);
#pragma unroll
	for (int i = 0; i < NAT_TRIES; i++)
		if (nat_take(config->nat_low + (start + i) % range, ending))
			return true;
	return false;
}

/*
 * Finds the port that the connection has outside: the one it had, else a free one, else one of a connection that is over.
 * Wants the rewrite's addresses and fills its new port. Returns 0 or a drop reason.
 */
static __always_inline int nat_choose_port(const struct context *context)
{
	if (context->nat_port && nat_take(bpf_ntohs(context->nat_port), false))
		return 0;
	return nat_search(false) || nat_search(true) ? 0 : DROP_NO_MASQUERADE_PORT;
}

/* The live mapping that a packet from the world answers, or NULL. */
static __always_inline struct nat_entry *nat_find(const struct tuple *tuple)
{
	struct nat_key key = {
		.remote = tuple->source,
		.local = tuple->destination,
		.remote_port = tuple->source_port,
		.local_port = tuple->destination_port,
		.protocol = tuple->protocol,
	};
	struct nat_entry *entry = bpf_map_lookup_elem(&weir_nat, &key);

	return entry && entry->expires >= tick_now() ? entry : 0;
}

/* Tells the connection which port it has outside. */
static __always_inline void nat_remember(const struct tuple *tuple, __be16 port)
{
	struct ct_entry *entry;
	struct ct_key key;

	ct_key_of(tuple, &key);
	entry = bpf_map_lookup_elem(&weir_ct, &key);
	if (entry && entry->nat_port != port)
		entry->nat_port = port;
}
