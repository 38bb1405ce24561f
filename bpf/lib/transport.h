/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Reads what stands behind an IP header of either family: ports, or what ICMP has in their place. */
#pragma once
#include "fragment.h"

/* Where the L4 header is, and where the packet ends. */
struct extent {
	__u32 l4;
	__u32 end;
	bool is6;
};

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *packet, const struct extent *extent)
{
	const struct tcphdr *tcp = HEADER_AT(skb, extent->l4, struct tcphdr);
	__u8 flags;

	if (!tcp || extent->l4 + sizeof(*tcp) > extent->end)
		return DROP_CT_INVALID_HEADER;
	if (tcp->doff < 5 || extent->l4 + tcp->doff * 4 > extent->end)
		return DROP_CT_INVALID_HEADER;
	flags = ((const __u8 *)tcp)[13];
	if (!flags || ((flags & TCP_FLAG_SYN_BIT) && (flags & (TCP_FLAG_FIN_BIT | TCP_FLAG_RST_BIT))))
		return DROP_INVALID;
	packet->tcp_flags = flags;
	packet->l4_length = tcp->doff * 4;
	packet->tuple.source_port = tcp->source;
	packet->tuple.destination_port = tcp->dest;
	return 0;
}

/*
 * Echo has two ends: the id goes where the asker's port would be. Any other message is a flow by itself, which nothing
 * answers but an error. `turned` says that it is quoted by one.
 */
static __always_inline int parse_message(struct tuple *tuple, const struct icmphdr *icmp, bool is6, bool turned)
{
	const __u8 request = is6 ? ICMP6_ECHO : ICMP_ECHO, reply = is6 ? ICMP6_ECHOREPLY : ICMP_ECHOREPLY;
	bool answers = (icmp->type == reply) != turned;

	tuple->answers = answers;
	if (icmp->type == request || icmp->type == reply) {
		tuple->source_port = answers ? 0 : icmp->id;
		tuple->destination_port = answers ? icmp->id : 0;
		return 0;
	}
	if (!icmp->type || icmp_is_error(icmp->type, is6) ||
	    (is6 ? icmp6_steers(icmp->type) : icmp4_steers(icmp->type)))
		return is6 ? DROP_UNKNOWN_ICMP6_TYPE : DROP_UNKNOWN_ICMP4_TYPE;
	tuple->message = icmp->type;
	return 0;
}

/* What a quoted IP header says, if it may be believed. */
struct quoted {
	struct addr source;
	struct addr destination;
	__u32 l4;
	__u8 protocol;
};

static __always_inline int parse_quoted4(struct __sk_buff *skb, __u32 at, struct quoted *quoted)
{
	const struct iphdr *ip = HEADER_AT(skb, at, struct iphdr);

	if (!ip || ip->version != 4 || ip->ihl != 5 || (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET)))
		return DROP_CT_INVALID_HEADER;
	quoted->source = addr_from4(ip->saddr);
	quoted->destination = addr_from4(ip->daddr);
	quoted->protocol = ip->protocol;
	quoted->l4 = at + sizeof(*ip);
	return 0;
}

static __always_inline int parse_quoted6(struct __sk_buff *skb, __u32 at, struct quoted *quoted)
{
	const struct ipv6hdr *ip = HEADER_AT(skb, at, struct ipv6hdr);
	const struct fragment_header *fragment;

	if (!ip || ip->version != 6)
		return DROP_CT_INVALID_HEADER;
	quoted->source = addr_from6(&ip->saddr);
	quoted->destination = addr_from6(&ip->daddr);
	quoted->protocol = ip->nexthdr;
	quoted->l4 = at + sizeof(*ip);
	/* IPv4 has headers of its own */
	if (addr_is4(&quoted->source) || addr_is4(&quoted->destination))
		return DROP_CT_INVALID_HEADER;
	if (quoted->protocol != IPPROTO_FRAGMENT)
		return 0;
	fragment = HEADER_AT(skb, at + sizeof(*ip), struct fragment_header);
	if (!fragment || (fragment->offset & bpf_htons(IP6_FRAGMENT_OFFSET)))
		return DROP_CT_INVALID_HEADER;
	quoted->protocol = fragment->next;
	quoted->l4 += EXTENSION_SIZE;
	return 0;
}

/* The tuple of the packet inside an ICMP error, turned round: the error answers it. */
static __always_inline int parse_quoted(struct __sk_buff *skb, struct packet *packet, const struct extent *extent)
{
	__u32 inner = extent->l4 + sizeof(struct icmphdr);
	struct tuple *tuple = &packet->tuple;
	struct quoted quoted;
	const union l4_start *l4;
	int reason;

	if (packet->fragment)
		return DROP_CT_INVALID_HEADER;
	reason = extent->is6 ? parse_quoted6(skb, inner, &quoted) : parse_quoted4(skb, inner, &quoted);
	if (reason)
		return reason;
	l4 = HEADER_AT(skb, quoted.l4, union l4_start);
	if (!l4 || quoted.l4 + sizeof(*l4) > extent->end)
		return DROP_CT_INVALID_HEADER;
	/* it is told to the sender of the quoted packet and to nobody else (RFC 792) */
	if (!addr_equal(&quoted.source, &packet->destination))
		return DROP_INVALID;
	packet->is_error = true;
	packet->inner_l4 = quoted.l4;
	tuple->source = quoted.destination;
	tuple->protocol = quoted.protocol;
	if (quoted.protocol == (extent->is6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return parse_message(tuple, &l4->icmp, extent->is6, true);
	if (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP && quoted.protocol != IPPROTO_SCTP)
		return DROP_UNKNOWN_L4;
	tuple->source_port = l4->destination;
	tuple->destination_port = l4->source;
	return 0;
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct packet *packet, const struct extent *extent)
{
	const struct icmphdr *icmp = HEADER_AT(skb, extent->l4, struct icmphdr);

	if (!icmp || extent->l4 + sizeof(*icmp) > extent->end)
		return DROP_CT_INVALID_HEADER;
	packet->icmp_type = icmp->type;
	packet->icmp_code = icmp->code;
	if (icmp_is_error(icmp->type, extent->is6))
		return parse_quoted(skb, packet, extent);
	if (extent->is6 && icmp6_steers(icmp->type))
		return DROP_FORBIDDEN_ICMP6;
	return parse_message(&packet->tuple, icmp, extent->is6, false);
}

static __always_inline int parse_ports(struct __sk_buff *skb, struct packet *packet, const struct extent *extent,
				       __u32 size)
{
	const union l4_start *l4 = HEADER_AT(skb, extent->l4, union l4_start);

	if (!l4 || extent->l4 + size > extent->end)
		return DROP_CT_INVALID_HEADER;
	packet->l4_length = size;
	packet->tuple.source_port = l4->source;
	packet->tuple.destination_port = l4->destination;
	return 0;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *packet, const struct extent *extent)
{
	packet->l4 = extent->l4;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(skb, packet, extent);
	case IPPROTO_UDP:
		return parse_ports(skb, packet, extent, sizeof(struct udphdr));
	case IPPROTO_SCTP:
		return parse_ports(skb, packet, extent, 12);
	case IPPROTO_ICMP:
		return extent->is6 ? DROP_UNKNOWN_L4 : parse_icmp(skb, packet, extent);
	case IPPROTO_ICMPV6:
		return extent->is6 ? parse_icmp(skb, packet, extent) : DROP_UNKNOWN_L4;
	default:
		return DROP_UNKNOWN_L4;
	}
}
