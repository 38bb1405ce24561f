/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Reads an IPv4 frame into the context. Whatever cannot be judged is refused here, each for a reason of its own. */
#pragma once
#include "fragment.h"

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *packet, __u32 end)
{
	const struct tcphdr *tcp = HEADER_AT(skb, L4_OFFSET, struct tcphdr);
	__u8 flags;

	if (!tcp || L4_OFFSET + sizeof(*tcp) > end)
		return DROP_CT_INVALID_HEADER;
	if (tcp->doff < 5 || L4_OFFSET + tcp->doff * 4 > end)
		return DROP_CT_INVALID_HEADER;
	flags = ((const __u8 *)tcp)[13];
	if (!flags || ((flags & TCP_FLAG_SYN_BIT) && (flags & (TCP_FLAG_FIN_BIT | TCP_FLAG_RST_BIT))))
		return DROP_INVALID;
	packet->tcp_flags = flags;
	packet->tuple.source_port = tcp->source;
	packet->tuple.destination_port = tcp->dest;
	return 0;
}

/* The id goes where the asker's port would be. */
static __always_inline int parse_echo(struct tuple *tuple, const struct icmphdr *icmp, bool turned)
{
	bool answers = (icmp->type == ICMP_ECHOREPLY) != turned;

	if (icmp->type != ICMP_ECHO && icmp->type != ICMP_ECHOREPLY)
		return DROP_UNKNOWN_ICMP4_TYPE;
	tuple->answers = answers;
	tuple->source_port = answers ? 0 : icmp->id;
	tuple->destination_port = answers ? icmp->id : 0;
	return 0;
}

/* The tuple of the packet inside an ICMP error, turned round: the error answers it. */
static __always_inline int parse_quoted(struct __sk_buff *skb, struct packet *packet, __u32 end)
{
	const struct iphdr *ip = HEADER_AT(skb, INNER_OFFSET, struct iphdr);
	const union l4_start *l4 = HEADER_AT(skb, INNER_L4_OFFSET, union l4_start);
	struct tuple *tuple = &packet->tuple;

	if (!ip || !l4 || HEADERS_MAX > end || packet->fragment)
		return DROP_CT_INVALID_HEADER;
	if (ip->version != 4 || ip->ihl != 5 || (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET)))
		return DROP_CT_INVALID_HEADER;
	/* it is told to the sender of the quoted packet and to nobody else (RFC 792) */
	if (ip->saddr != packet->destination.word[3])
		return DROP_INVALID;
	packet->is_error = true;
	tuple->source = addr_from4(ip->daddr);
	tuple->protocol = ip->protocol;
	if (ip->protocol == IPPROTO_ICMP)
		return parse_echo(tuple, &l4->icmp, true);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_SCTP)
		return DROP_UNKNOWN_L4;
	tuple->source_port = l4->destination;
	tuple->destination_port = l4->source;
	return 0;
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct packet *packet, __u32 end)
{
	const struct icmphdr *icmp = HEADER_AT(skb, L4_OFFSET, struct icmphdr);

	if (!icmp || L4_OFFSET + sizeof(*icmp) > end)
		return DROP_CT_INVALID_HEADER;
	packet->icmp_type = icmp->type;
	packet->icmp_code = icmp->code;
	if (icmp_is_error(icmp->type))
		return parse_quoted(skb, packet, end);
	return parse_echo(&packet->tuple, icmp, false);
}

static __always_inline int parse_ports(struct __sk_buff *skb, struct packet *packet, __u32 end, __u32 size)
{
	const union l4_start *l4 = HEADER_AT(skb, L4_OFFSET, union l4_start);

	if (!l4 || L4_OFFSET + size > end)
		return DROP_CT_INVALID_HEADER;
	packet->tuple.source_port = l4->source;
	packet->tuple.destination_port = l4->destination;
	return 0;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *packet, __u32 end)
{
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(skb, packet, end);
	case IPPROTO_UDP:
		return parse_ports(skb, packet, end, sizeof(struct udphdr));
	case IPPROTO_ICMP:
		return parse_icmp(skb, packet, end);
	case IPPROTO_SCTP:
		return parse_ports(skb, packet, end, 12);
	default:
		return DROP_UNKNOWN_L4;
	}
}

/* Returns 0 or a drop reason; the context is filled as far as the frame could be read. */
static __noinline int parse4(struct __sk_buff *skb)
{
	struct context *context = context_get();
	const struct iphdr *ip;
	struct packet *packet;
	__u32 total, end;

	if (!context)
		return DROP_NO_CONFIGURATION;
	headers_pull(skb);
	packet = &context->packet;
	ip = HEADER_AT(skb, L3_OFFSET, struct iphdr);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return DROP_INVALID;
	packet->source = packet->tuple.source = addr_from4(ip->saddr);
	packet->destination = packet->tuple.destination = addr_from4(ip->daddr);
	packet->protocol = packet->tuple.protocol = ip->protocol;
	packet->id = ip->id;
	total = bpf_ntohs(ip->tot_len);
	end = total ? L3_OFFSET + total : skb->len;
	/* a GSO frame longer than 64 KiB says 0 (BIG TCP) */
	if (end < L4_OFFSET || end > skb->len || (!total && skb->len <= 0xffff))
		return DROP_INVALID;
	if (ip->ihl > 5)
		return DROP_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return fragment_recall(packet, bpf_ntohs(ip->frag_off) & IP_FRAGMENT_OFFSET);
	if (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS))
		packet->fragment = FRAGMENT_FIRST;
	return parse_l4(skb, packet, end);
}
