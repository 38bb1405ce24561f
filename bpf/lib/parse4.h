/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Reads an IPv4 frame into the context. Whatever cannot be judged is refused here, each for a reason of its own. */
#pragma once
#include "transport.h"

/* Returns 0 or a drop reason; the context is filled as far as the frame could be read. */
static __noinline int parse4(struct __sk_buff *skb)
{
	struct extent extent = { .l4 = L4_OFFSET4, .is6 = false };
	struct context *context = context_get();
	const struct iphdr *ip;
	struct packet *packet;
	__u32 total;

	if (!context)
		return DROP_NO_CONFIGURATION;
	headers_pull(skb, HEADERS_MAX4);
	packet = &context->packet;
	ip = HEADER_AT(skb, L3_OFFSET, struct iphdr);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return DROP_INVALID;
	packet->source = packet->tuple.source = addr_from4(ip->saddr);
	packet->destination = packet->tuple.destination = addr_from4(ip->daddr);
	packet->protocol = packet->tuple.protocol = ip->protocol;
	packet->id = ip->id;
	total = bpf_ntohs(ip->tot_len);
	extent.end = total ? L3_OFFSET + total : skb->len;
	/* a GSO frame longer than 64 KiB says 0 (BIG TCP) */
	if (extent.end < L4_OFFSET4 || extent.end > skb->len || (!total && skb->len <= 0xffff))
		return DROP_INVALID;
	if (ip->ihl > 5)
		return DROP_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return fragment_recall(packet, (bpf_ntohs(ip->frag_off) & IP_FRAGMENT_OFFSET) * 8);
	if (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS))
		packet->fragment = FRAGMENT_FIRST;
	return parse_l4(skb, packet, &extent);
}
