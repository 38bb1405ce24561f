/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Ways on for a packet that may pass: into a container of this host, to the host's stack, out to the world. */
#pragma once
#include "too-big.h"

/* AF_INET and AF_INET6; <sys/socket.h> is libc's. */
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

/* Into a container of this host. Returns 0 or a drop reason. */
static __always_inline int deliver_local(struct __sk_buff *skb, struct context *context,
					 const struct endpoint *endpoint)
{
	int reason = ttl_decrement(skb, context->packet.is6);
	struct ethhdr *eth;

	if (reason)
		return reason;
	eth = HEADER_AT(skb, 0, struct ethhdr);
	if (!eth)
		return DROP_INVALID;
	mac_copy(eth->h_dest, endpoint->mac);
	mac_copy(eth->h_source, endpoint->gateway_mac);
	trace_forward(context, TRACE_TO_ENDPOINT);
	context->action = bpf_redirect_peer(endpoint->ifindex, 0);
	return 0;
}

static __always_inline int deliver_host(struct context *context)
{
	trace_forward(context, TRACE_TO_STACK);
	context->action = TC_ACT_OK;
	return 0;
}

/* How long it will be on the wire, where each of its segments is a packet; 0 = not known. */
static __always_inline __u16 packet_length(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 length = skb->len;

	if (skb->gso_segs)
		length = packet->l4 + packet->l4_length + skb->gso_size;
	length -= L3_OFFSET;
	return length <= 0xffff ? length : 0;
}

/* The device that leads to the packet's destination. Returns 0 or a drop reason. */
static __always_inline int route_find(struct __sk_buff *skb, const struct context *context, __u32 *ifindex)
{
	const struct packet *packet = &context->packet;
	/* an answer of a published port leaves as the host's */
	const struct addr *source = context->translated ? &context->frontend : &packet->source;
	struct bpf_fib_lookup fib = { .family = packet->is6 ? FAMILY_IPV6 : FAMILY_IPV4, .ifindex = skb->ifindex };
	__u16 length = packet_length(skb, packet);
	const struct config *config = config_get();

	fib.l4_protocol = packet->protocol;
	fib.tot_len = length;
	if (packet->is6) {
		__builtin_memcpy(fib.ipv6_src, source, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, &packet->destination, sizeof(fib.ipv6_dst));
	} else {
		fib.ipv4_src = source->word[3];
		fib.ipv4_dst = packet->destination.word[3];
	}
	switch (bpf_fib_lookup(skb, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		*ifindex = fib.ifindex;
		return 0;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		/* before 5.12 a missing neighbour left the device out of the answer */
		*ifindex = fib.ifindex == skb->ifindex && config ? config->uplink : fib.ifindex;
		return 0;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
		return DROP_NO_UPLINK;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		/* before 5.12 the answer had no size */
		if (fib.mtu_result < length)
			too_big_tell(skb, fib.mtu_result);
		return DROP_FRAGMENTATION_NEEDED;
	default:
		return DROP_FIB_FAILED;
	}
}

/* Gives the packet an address of the host's as its source. Returns 0 or a drop reason. */
static __always_inline int masquerade(struct __sk_buff *skb, struct context *context, const struct addr *address)
{
	struct packet *packet = &context->packet;
	struct rewrite *rewrite = &context->rewrite;
	int reason;

	rewrite->new_address = *address;
	if (addr_is_none(&rewrite->new_address))
		return DROP_NAT_NO_MAPPING;
	/* SCTP's CRC32c would have to be computed over the whole packet; a message has nothing that leads back */
	if (packet->tuple.protocol == IPPROTO_SCTP || packet->tuple.message)
		return DROP_NAT_UNSUPPORTED;
	rewrite->old_address = packet->source;
	rewrite->old_port = packet->tuple.source_port;
	rewrite->is_source = true;
	reason = nat_choose_port(context);
	if (reason)
		return reason;
	if (rewrite->new_port != context->nat_port)
		nat_remember(&packet->tuple, rewrite->new_port);
	return rewrite_apply(skb);
}

/* An answer comes from whom its asker has asked. Returns 0 or a drop reason. */
static __always_inline int frontend_rewrite_source(struct __sk_buff *skb, struct context *context)
{
	struct rewrite *rewrite = &context->rewrite;

	rewrite->old_address = context->packet.tuple.source;
	rewrite->old_port = context->packet.tuple.source_port;
	rewrite->new_address = context->frontend;
	rewrite->new_port = context->frontend_port;
	rewrite->is_source = true;
	return rewrite_apply(skb);
}

/*
 * Out to the world by an uplink, masqueraded unless the destination is native or answered; an answer of a published port
 * comes from that. Nothing is translated before the way is known, or the sender would not know again what is too large for
 * it. Returns 0 or a drop reason.
 */
static __noinline int deliver_world(struct __sk_buff *skb)
{
	struct context *context = context_get();
	const struct uplink *uplink;
	__u32 ifindex = 0;
	bool masquerades;
	int reason;

	if (!context)
		return DROP_NO_CONFIGURATION;
	reason = route_find(skb, context, &ifindex);
	if (reason)
		return reason;
	uplink = bpf_map_lookup_elem(&weir_uplink, &ifindex);
	/* who was asked under an address answers under that address */
	masquerades = !context->reply && !(context->destination.reach & IPCACHE_NATIVE);
	if (!uplink || (masquerades && uplink_is_bridge(uplink)))
		return DROP_NO_UPLINK;
	reason = ttl_decrement(skb, context->packet.is6);
	if (!reason && masquerades)
		reason = masquerade(skb, context, context->packet.is6 ? &uplink->ip6 : &uplink->ip4);
	else if (!reason && context->translated)
		reason = frontend_rewrite_source(skb, context);
	if (reason)
		return reason;
	trace_forward(context, TRACE_TO_NETWORK);
	context->action = bpf_redirect_neigh(ifindex, 0, 0, 0);
	return 0;
}
