/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Reads an IPv6 frame into the context. Of the extension headers (RFC 8200) two are understood, alone and directly
 * behind the fixed header: the fragment header, and the hop-by-hop header of a jumbo payload. Whatever cannot be judged
 * is refused here, each for a reason of its own.
 */
#pragma once
#include "transport.h"

/* Says only how long the packet is (RFC 2675), which the 16 bits of its header cannot. */
struct jumbo_header {
	__u8 next;
	__u8 length; /* beyond eight bytes, in eights */
	__u8 option;
	__u8 option_length;
	__be32 payload_length;
};

#define IP6_OPTION_JUMBO 0xc2

static __always_inline bool is_extension(__u8 next)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case 139: /* HIP */
	case 140: /* Shim6 */
		return true;
	default:
		return false;
	}
}

/* A frame longer than 64 KiB, which the sender's or the receiver's kernel cuts up (BIG TCP). Returns 0 or a drop reason. */
static __always_inline int parse_jumbo(struct __sk_buff *skb, struct packet *packet, struct extent *extent)
{
	const struct jumbo_header *jumbo = HEADER_AT(skb, L4_OFFSET6, struct jumbo_header);

	if (skb->len <= 0xffff)
		return DROP_INVALID;
	if (packet->protocol == IPPROTO_TCP)
		return 0;
	if (packet->protocol != IPPROTO_HOPOPTS)
		return DROP_INVALID;
	if (!jumbo || jumbo->next != IPPROTO_TCP || jumbo->length || jumbo->option != IP6_OPTION_JUMBO ||
	    jumbo->option_length != 4 || bpf_ntohl(jumbo->payload_length) != skb->len - L4_OFFSET6)
		return DROP_INVALID_EXTENSION_HEADER;
	packet->protocol = packet->tuple.protocol = jumbo->next;
	extent->l4 += EXTENSION_SIZE;
	return 0;
}

/* A later fragment is the first one's, so there is no L4 header to read. Returns 0 or a drop reason. */
static __always_inline int parse_fragment(struct __sk_buff *skb, struct packet *packet, struct extent *extent)
{
	const struct fragment_header *fragment = HEADER_AT(skb, L4_OFFSET6, struct fragment_header);
	__u16 offset;

	if (!fragment || L4_OFFSET6 + sizeof(*fragment) > extent->end)
		return DROP_INVALID;
	offset = bpf_ntohs(fragment->offset);
	packet->protocol = packet->tuple.protocol = fragment->next;
	packet->id = fragment->id;
	extent->l4 += EXTENSION_SIZE;
	if (offset & IP6_FRAGMENT_OFFSET)
		return fragment_recall(packet, offset & IP6_FRAGMENT_OFFSET);
	/* one that is whole in itself is no fragment of anything (RFC 6946) */
	if (offset & IP6_MORE_FRAGMENTS)
		packet->fragment = FRAGMENT_FIRST;
	return 0;
}

static __always_inline int parse_headers(struct __sk_buff *skb, struct packet *packet, __u16 payload_length)
{
	struct extent extent = { .l4 = L4_OFFSET6, .end = L4_OFFSET6 + payload_length, .is6 = true };
	int reason = 0;

	if (!payload_length) {
		extent.end = skb->len;
		reason = parse_jumbo(skb, packet, &extent);
	} else if (extent.end > skb->len) {
		return DROP_INVALID;
	} else if (packet->protocol == IPPROTO_FRAGMENT) {
		reason = parse_fragment(skb, packet, &extent);
	}
	if (reason || packet->fragment == FRAGMENT_LATER)
		return reason;
	return is_extension(packet->protocol) ? DROP_INVALID_EXTENSION_HEADER : parse_l4(skb, packet, &extent);
}

/* Returns 0 or a drop reason; the context is filled as far as the frame could be read. */
static __noinline int parse6(struct __sk_buff *skb)
{
	struct context *context = context_get();
	const struct ipv6hdr *ip;
	struct packet *packet;
	int reason;

	if (!context)
		return DROP_NO_CONFIGURATION;
	headers_pull(skb, HEADERS_MAX6);
	packet = &context->packet;
	packet->is6 = true;
	ip = HEADER_AT(skb, L3_OFFSET, struct ipv6hdr);
	if (!ip || ip->version != 6)
		return DROP_INVALID;
	packet->source = packet->tuple.source = addr_from6(&ip->saddr);
	packet->destination = packet->tuple.destination = addr_from6(&ip->daddr);
	packet->protocol = packet->tuple.protocol = ip->nexthdr;
	/* these stand for IPv4 in the maps and are nobody's on a wire (RFC 4291 section 2.5.5.2) */
	if (addr_is4(&packet->source) || addr_is4(&packet->destination))
		return DROP_INVALID;
	reason = parse_headers(skb, packet, bpf_ntohs(ip->payload_len));
	/* whatever is said to a group is said to nobody, unless it asks for a neighbour */
	return addr_is_multicast6(&packet->destination) && reason != DROP_FORBIDDEN_ICMP6 ? DROP_MULTICAST : reason;
}
