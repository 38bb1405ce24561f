/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Masquerading: what a container sends to the world leaves with the uplink's address and a port (TCP, UDP) or id (ICMP
 * echo) from a range that the host itself never uses. The connection remembers its port; this map leads back.
 */
#pragma once
#include "verdict.h"

struct uplink {
	struct addr ip4; /* all zero: none */
	struct addr ip6;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct uplink);
} weir_uplink SEC(".maps");

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
#define IP_CHECK_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, check))
#define IP_SOURCE_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, saddr))
#define IP_DESTINATION_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, daddr))

static __always_inline __u32 nat_hash(const struct tuple *tuple)
{
	__u32 h = tuple->source.word[3] * 0x9e3779b1u;

	h ^= tuple->destination.word[3] * 0x85ebca6bu;
	h ^= ((__u32)tuple->source_port << 16 | tuple->destination_port) * 0xc2b2ae35u;
	h ^= h >> 15;
	h *= 0x27d4eb2fu;
	return h ^ h >> 13;
}

/* Tries one port. Returns true if it is this connection's now. */
static __always_inline bool nat_claim(struct nat_key *key, const struct tuple *tuple, __u32 now, __u32 expires)
{
	struct nat_entry *entry = bpf_map_lookup_elem(&weir_nat, key), fresh = { .address = tuple->source,
										 .port = tuple->source_port,
										 .expires = expires };

	if (!entry)
		return bpf_map_update_elem(&weir_nat, key, &fresh, BPF_NOEXIST) == 0;
	if (entry->port == tuple->source_port && addr_equal(&entry->address, &tuple->source)) {
		if (entry->expires != expires)
			entry->expires = expires;
		return true;
	}
	return entry->expires < now && bpf_map_update_elem(&weir_nat, key, &fresh, BPF_EXIST) == 0;
}

/*
 * The port that the connection has outside: the one it had, else a free one near its hash, so that a connection whose
 * entry was evicted finds its old port again. Returns 0 if none is free.
 */
static __noinline int nat_port_for(const struct context *context, const struct uplink *uplink)
{
	const struct tuple *tuple = &context->packet.tuple;
	const struct config *config = context->config;
	__u32 low, range, start, now = tick_now();
	__u32 expires = now + ct_lifetime(tuple->protocol, context->ct_state == CT_NEW ? 0 : CT_REPLIED);
	struct nat_key key = {
		.remote = tuple->destination,
		.local = uplink->ip4,
		.remote_port = tuple->destination_port,
		.protocol = tuple->protocol,
	};

	if (context->nat_port) {
		key.local_port = context->nat_port;
		if (nat_claim(&key, tuple, now, expires))
			return context->nat_port;
	}
	low = config->nat_low;
	range = config->nat_high - low + 1;
	start = nat_hash(tuple);
	for (int i = 0; i < NAT_TRIES; i++) {
		key.local_port = bpf_htons(low + (start + i) % range);
		if (nat_claim(&key, tuple, now, expires))
			return key.local_port;
	}
	return 0;
}

/* The mapping that a packet from the world answers, if any. */
static __noinline const struct nat_entry *nat_find(const struct tuple *tuple)
{
	struct nat_key key = {
		.remote = tuple->source,
		.local = tuple->destination,
		.remote_port = tuple->source_port,
		.local_port = tuple->destination_port,
		.protocol = tuple->protocol,
	};

	return bpf_map_lookup_elem(&weir_nat, &key);
}

static __always_inline void nat_remember(const struct tuple *tuple, __be16 port)
{
	struct ct_entry *entry;
	struct ct_key key;

	ct_key_of(tuple, &key);
	entry = bpf_map_lookup_elem(&weir_ct, &key);
	if (entry && entry->nat_port != port)
		entry->nat_port = port;
}

/* Offsets of what NAT rewrites in the L4 header, and how its checksum is kept. */
struct l4_fields {
	__u32 source_port;
	__u32 destination_port;
	__u32 check;
	__u64 flags;
};

static __always_inline int l4_fields_of(__u8 protocol, __u32 l4, struct l4_fields *fields)
{
	fields->source_port = l4;
	fields->destination_port = l4 + 2;
	fields->flags = 0;
	switch (protocol) {
	case IPPROTO_TCP:
		fields->check = l4 + __builtin_offsetof(struct tcphdr, check);
		return 0;
	case IPPROTO_UDP:
		fields->check = l4 + __builtin_offsetof(struct udphdr, check);
		fields->flags = BPF_F_MARK_MANGLED_0;
		return 0;
	case IPPROTO_ICMP: /* no pseudo header, and the id serves both directions */
		fields->source_port = fields->destination_port = l4 + __builtin_offsetof(struct icmphdr, id);
		fields->check = l4 + __builtin_offsetof(struct icmphdr, checksum);
		return 0;
	default:
		return DROP_NAT_UNSUPPORTED;
	}
}

struct rewrite {
	__u32 address_offset;
	__be32 old_address;
	__be32 new_address;
	__be16 old_port;
	__be16 new_port;
	bool is_source;
};

static __always_inline int rewrite_address(struct __sk_buff *skb, const struct rewrite *rewrite)
{
	if (bpf_l3_csum_replace(skb, IP_CHECK_OFFSET, rewrite->old_address, rewrite->new_address, 4) < 0 ||
	    bpf_skb_store_bytes(skb, rewrite->address_offset, &rewrite->new_address, 4, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/* Rewrites address and port of a packet that has a connection of its own. */
static __noinline int nat_rewrite(struct __sk_buff *skb, const struct packet *packet, const struct rewrite *rewrite)
{
	struct l4_fields fields;
	__u32 port_offset;
	int reason = l4_fields_of(packet->protocol, packet->l4, &fields);

	if (!reason)
		reason = rewrite_address(skb, rewrite);
	if (reason || packet->headless)
		return reason;
	port_offset = rewrite->is_source ? fields.source_port : fields.destination_port;
	if (packet->protocol != IPPROTO_ICMP &&
	    bpf_l4_csum_replace(skb, fields.check, rewrite->old_address, rewrite->new_address,
				fields.flags | BPF_F_PSEUDO_HDR | 4) < 0)
		return DROP_WRITE_ERROR;
	if (bpf_l4_csum_replace(skb, fields.check, rewrite->old_port, rewrite->new_port, fields.flags | 2) < 0 ||
	    bpf_skb_store_bytes(skb, port_offset, &rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/*
 * Rewrites an ICMP error: its own address and, in the packet it quotes, address and port of the same end. The quoted
 * header's checksum makes up for the quoted address, so the message's checksum only has to follow the port.
 */
static __noinline int nat_rewrite_error(struct __sk_buff *skb, const struct packet *packet,
					const struct rewrite *rewrite)
{
	__u32 quoted = packet->inner, l4 = quoted + sizeof(struct iphdr), port_offset;
	__u32 address_offset = quoted + (rewrite->is_source ? __builtin_offsetof(struct iphdr, daddr)
							    : __builtin_offsetof(struct iphdr, saddr));
	__u32 check = packet->l4 + __builtin_offsetof(struct icmphdr, checksum);
	struct l4_fields fields;
	int reason = l4_fields_of(packet->tuple.protocol, l4, &fields);

	if (!reason)
		reason = rewrite_address(skb, rewrite);
	if (reason)
		return reason;
	/* what the error's sender is the source of, the quoted packet was sent to */
	port_offset = rewrite->is_source ? fields.destination_port : fields.source_port;
	if (bpf_l3_csum_replace(skb, quoted + __builtin_offsetof(struct iphdr, check), rewrite->old_address,
				rewrite->new_address, 4) < 0 ||
	    bpf_skb_store_bytes(skb, address_offset, &rewrite->new_address, 4, 0) < 0 ||
	    bpf_l4_csum_replace(skb, check, rewrite->old_port, rewrite->new_port, 2) < 0 ||
	    bpf_skb_store_bytes(skb, port_offset, &rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

static __always_inline int nat_translate(struct __sk_buff *skb, const struct packet *packet,
					 const struct rewrite *rewrite)
{
	return packet->inner ? nat_rewrite_error(skb, packet, rewrite) : nat_rewrite(skb, packet, rewrite);
}
