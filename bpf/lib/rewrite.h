/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Changes to a packet's headers. The L4 checksum goes by the kernel's helper, which alone knows whether it is there yet
 * or left to the device; so do bytes that it covers. What only the IP header's checksum covers is written in place.
 */
#pragma once
#include "nat.h"

#define IP_CHECK_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, check))
#define IP_SOURCE_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, saddr))
#define IP_DESTINATION_OFFSET (L3_OFFSET + __builtin_offsetof(struct iphdr, daddr))

/* TTL is the high byte of its word, so the checksum grows by as much (RFC 1141). */
static __always_inline void ttl_lower(struct iphdr *ip)
{
	__u32 check = (__u32)ip->check + bpf_htons(0x0100);

	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* One hop less to live (RFC 1812 section 5.3.1). Returns 0 or a drop reason. */
static __always_inline int ttl_decrement(struct __sk_buff *skb)
{
	struct iphdr *ip = HEADER_AT(skb, L3_OFFSET, struct iphdr);

	if (!ip)
		return DROP_INVALID;
	if (ip->ttl <= 1)
		return DROP_TTL_EXCEEDED;
	ttl_lower(ip);
	return 0;
}

/* Offsets of what translation rewrites in an L4 header. */
struct l4_fields {
	__u32 source_port;
	__u32 destination_port;
	__u32 check;
	__u64 flags; /* how the checksum is kept */
};

static __always_inline int l4_fields_of(__u8 protocol, __u32 l4, struct l4_fields *fields)
{
	fields->source_port = l4;
	fields->destination_port = l4 + 2;
	fields->flags = BPF_F_PSEUDO_HDR;
	switch (protocol) {
	case IPPROTO_TCP:
		fields->check = l4 + __builtin_offsetof(struct tcphdr, check);
		return 0;
	case IPPROTO_UDP:
		fields->check = l4 + __builtin_offsetof(struct udphdr, check);
		fields->flags |= BPF_F_MARK_MANGLED_0;
		return 0;
	case IPPROTO_ICMP: /* no pseudo header, and the id serves both directions */
		fields->source_port = fields->destination_port = l4 + __builtin_offsetof(struct icmphdr, id);
		fields->check = l4 + __builtin_offsetof(struct icmphdr, checksum);
		fields->flags = 0;
		return 0;
	default:
		return DROP_NAT_UNSUPPORTED;
	}
}

/* Puts the new address into an IP header, the packet's own or a quoted one. */
static __always_inline int rewrite_address(struct __sk_buff *skb, const struct rewrite *rewrite, __u32 header,
					   bool is_source)
{
	__u32 check = header + __builtin_offsetof(struct iphdr, check);
	__u32 field = header +
		      (is_source ? __builtin_offsetof(struct iphdr, saddr) : __builtin_offsetof(struct iphdr, daddr));

	if (bpf_l3_csum_replace(skb, check, rewrite->old_address.word[3], rewrite->new_address.word[3], 4) < 0 ||
	    bpf_skb_store_bytes(skb, field, &rewrite->new_address.word[3], 4, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/* Address and port of a packet that has a connection of its own. */
static __always_inline int rewrite_packet(struct __sk_buff *skb, const struct packet *packet,
					  const struct rewrite *rewrite)
{
	struct l4_fields fields;
	int reason = l4_fields_of(packet->protocol, L4_OFFSET, &fields);
	__u64 flags = fields.flags & BPF_F_MARK_MANGLED_0;

	if (reason)
		return reason;
	reason = rewrite_address(skb, rewrite, L3_OFFSET, rewrite->is_source);
	if (reason || packet->fragment == FRAGMENT_LATER)
		return reason;
	if ((fields.flags & BPF_F_PSEUDO_HDR) &&
	    bpf_l4_csum_replace(skb, fields.check, rewrite->old_address.word[3], rewrite->new_address.word[3],
				fields.flags | 4) < 0)
		return DROP_WRITE_ERROR;
	if (bpf_l4_csum_replace(skb, fields.check, rewrite->old_port, rewrite->new_port, flags | 2) < 0 ||
	    bpf_skb_store_bytes(skb, rewrite->is_source ? fields.source_port : fields.destination_port,
				&rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/*
 * An ICMP error: its own address and, in the packet it quotes, address and port of the same end. The quoted header's
 * checksum makes up for the quoted address, so the message's checksum only has to follow the port.
 */
static __always_inline int rewrite_error(struct __sk_buff *skb, const struct packet *packet,
					 const struct rewrite *rewrite)
{
	__u32 check = L4_OFFSET + __builtin_offsetof(struct icmphdr, checksum);
	struct l4_fields fields;
	int reason = l4_fields_of(packet->tuple.protocol, INNER_L4_OFFSET, &fields);

	if (!reason)
		reason = rewrite_address(skb, rewrite, L3_OFFSET, rewrite->is_source);
	/* what the error's sender is the source of, the quoted packet was sent to */
	if (!reason)
		reason = rewrite_address(skb, rewrite, INNER_OFFSET, !rewrite->is_source);
	if (reason)
		return reason;
	if (bpf_l4_csum_replace(skb, check, rewrite->old_port, rewrite->new_port, 2) < 0 ||
	    bpf_skb_store_bytes(skb, rewrite->is_source ? fields.destination_port : fields.source_port,
				&rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/* Carries out the context's rewrite. Returns 0 or a drop reason. */
static __noinline int rewrite_apply(struct __sk_buff *skb)
{
	struct context *context = context_get();

	if (!context)
		return DROP_NO_CONFIGURATION;
	if (context->packet.is_error)
		return rewrite_error(skb, &context->packet, &context->rewrite);
	return rewrite_packet(skb, &context->packet, &context->rewrite);
}
