/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Changes to a packet's headers. The L4 checksum goes by the kernel's helper, which alone knows whether it is there yet
 * or left to the device; so do bytes that it covers. What only the IP header's checksum covers is written in place.
 */
#pragma once
#include "nat.h"

/* TTL is the high byte of its word, so the checksum grows by as much (RFC 1141). */
static __always_inline void ttl_lower(struct iphdr *ip)
{
	__u32 check = (__u32)ip->check + bpf_htons(0x0100);

	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* One hop less to live (RFC 1812 section 5.3.1). Returns 0 or a drop reason. */
static __always_inline int ttl_decrement(struct __sk_buff *skb, bool is6)
{
	struct ipv6hdr *ip6 = HEADER_AT(skb, L3_OFFSET, struct ipv6hdr);
	struct iphdr *ip = HEADER_AT(skb, L3_OFFSET, struct iphdr);

	if (is6) {
		if (!ip6)
			return DROP_INVALID;
		if (ip6->hop_limit <= 1)
			return DROP_TTL_EXCEEDED;
		ip6->hop_limit--;
		return 0;
	}
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
	case IPPROTO_ICMPV6:
		fields->source_port = fields->destination_port = l4 + __builtin_offsetof(struct icmphdr, id);
		fields->check = l4 + __builtin_offsetof(struct icmphdr, checksum);
		return 0;
	default:
		return DROP_NAT_UNSUPPORTED;
	}
}

/* What the address adds to a checksum that covers it. */
static __always_inline __s64 rewrite_difference(struct rewrite *rewrite)
{
	return bpf_csum_diff(rewrite->old_address.word, sizeof(struct addr), rewrite->new_address.word,
			     sizeof(struct addr), 0);
}

/* Puts the new address into an IPv4 header, the packet's own or a quoted one. */
static __always_inline int rewrite_address4(struct __sk_buff *skb, const struct rewrite *rewrite, __u32 header,
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

/*
 * Puts the new address into an IPv6 header. It has no checksum of its own to make up for the change, and the helper that
 * keeps a pseudo header's checksum takes for granted that one did: BPF_F_RECOMPUTE_CSUM of the packet's own header puts
 * right what a NIC computed over the whole packet.
 */
static __always_inline int rewrite_address6(struct __sk_buff *skb, const struct rewrite *rewrite, __u32 header,
					    bool is_source)
{
	__u32 field = header + (is_source ? __builtin_offsetof(struct ipv6hdr, saddr)
					  : __builtin_offsetof(struct ipv6hdr, daddr));
	__u64 flags = header == L3_OFFSET ? BPF_F_RECOMPUTE_CSUM : 0;

	return bpf_skb_store_bytes(skb, field, &rewrite->new_address, sizeof(struct addr), flags) < 0 ? DROP_WRITE_ERROR
												      : 0;
}

static __always_inline int rewrite_address(struct __sk_buff *skb, const struct packet *packet,
					   const struct rewrite *rewrite)
{
	return packet->is6 ? rewrite_address6(skb, rewrite, L3_OFFSET, rewrite->is_source)
			   : rewrite_address4(skb, rewrite, L3_OFFSET, rewrite->is_source);
}

/* Address and port of a packet that has a connection of its own. */
static __always_inline int rewrite_packet(struct __sk_buff *skb, const struct packet *packet, struct rewrite *rewrite)
{
	struct l4_fields fields;
	int reason = l4_fields_of(packet->protocol, packet->l4, &fields);
	__u64 flags = fields.flags & BPF_F_MARK_MANGLED_0;

	if (reason)
		return reason;
	reason = rewrite_address(skb, packet, rewrite);
	if (reason || packet->fragment == FRAGMENT_LATER)
		return reason;
	if ((fields.flags & BPF_F_PSEUDO_HDR) &&
	    bpf_l4_csum_replace(skb, fields.check, 0, rewrite_difference(rewrite), fields.flags) < 0)
		return DROP_WRITE_ERROR;
	if (bpf_l4_csum_replace(skb, fields.check, rewrite->old_port, rewrite->new_port, flags | 2) < 0 ||
	    bpf_skb_store_bytes(skb, rewrite->is_source ? fields.source_port : fields.destination_port,
				&rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/*
 * The address that an ICMP error quotes. IPv4: the quoted header's checksum makes up for it, so the message's own need
 * not follow. IPv6: nothing does, and the message's own covers the addresses of its header besides.
 */
static __always_inline int rewrite_quoted(struct __sk_buff *skb, const struct packet *packet, struct rewrite *rewrite)
{
	__u32 check = packet->l4 + __builtin_offsetof(struct icmphdr, checksum);
	__u32 inner = packet->l4 + sizeof(struct icmphdr);
	__s64 difference;

	/* what the error's sender is the source of, the quoted packet was sent to */
	if (!packet->is6)
		return rewrite_address4(skb, rewrite, inner, !rewrite->is_source);
	difference = rewrite_difference(rewrite);
	if (bpf_l4_csum_replace(skb, check, 0, difference, BPF_F_PSEUDO_HDR) < 0 ||
	    bpf_l4_csum_replace(skb, check, 0, difference, 0) < 0)
		return DROP_WRITE_ERROR;
	return rewrite_address6(skb, rewrite, inner, !rewrite->is_source);
}

/* An ICMP error: its own address and, in the packet it quotes, address and port of the same end. */
static __always_inline int rewrite_error(struct __sk_buff *skb, const struct packet *packet, struct rewrite *rewrite)
{
	__u32 check = packet->l4 + __builtin_offsetof(struct icmphdr, checksum);
	struct l4_fields fields;
	int reason = l4_fields_of(packet->tuple.protocol, packet->inner_l4, &fields);

	if (!reason)
		reason = rewrite_address(skb, packet, rewrite);
	if (!reason)
		reason = rewrite_quoted(skb, packet, rewrite);
	if (reason)
		return reason;
	if (bpf_l4_csum_replace(skb, check, rewrite->old_port, rewrite->new_port, 2) < 0 ||
	    bpf_skb_store_bytes(skb, rewrite->is_source ? fields.destination_port : fields.source_port,
				&rewrite->new_port, 2, 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/*
 * Carries out the context's rewrite: at the packet's source or its destination, by `is_source`. Returns 0 or a drop
 * reason.
 */
static __noinline int rewrite_apply(struct __sk_buff *skb)
{
	struct context *context = context_get();

	if (!context)
		return DROP_NO_CONFIGURATION;
	if (context->packet.is_error)
		return rewrite_error(skb, &context->packet, &context->rewrite);
	return rewrite_packet(skb, &context->packet, &context->rewrite);
}
