/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Ways on for a packet that may pass: into a container of this host, to the host's stack, out to the world. */
#pragma once
#include "nat.h"

/* An entry program's way to say no: the reason becomes a counter and an event. */
static __noinline int drop(struct __sk_buff *skb, const struct context *context, __u32 reason)
{
	metric_count(reason, context->direction, skb->len);
	event_send(skb, context, EVENT_WORD(EVENT_DROP, reason, context->direction));
	return BPF_OK + 2; /* TC_ACT_SHOT */
}

/* One hop less to live (RFC 1812 section 5.3.1). Returns 0 or a drop reason. */
static __always_inline int ttl_decrement(struct __sk_buff *skb)
{
	__u32 offset = L3_OFFSET + __builtin_offsetof(struct iphdr, ttl);
	__be16 old, new;

	/* ttl and protocol are one word of the checksum */
	if (bpf_skb_load_bytes(skb, offset, &old, sizeof(old)) < 0)
		return DROP_INVALID;
	if ((old & bpf_htons(0xff00)) <= bpf_htons(0x0100) && (bpf_ntohs(old) >> 8) <= 1)
		return DROP_TTL_EXCEEDED;
	new = bpf_htons(bpf_ntohs(old) - 0x0100);
	if (bpf_l3_csum_replace(skb, IP_CHECK_OFFSET, old, new, 2) < 0 ||
	    bpf_skb_store_bytes(skb, offset, &new, sizeof(new), 0) < 0)
		return DROP_WRITE_ERROR;
	return 0;
}

/* Into the container at the destination side; sets *action. Returns 0 or a drop reason. */
static __always_inline int deliver_local(struct __sk_buff *skb, const struct context *context, int *action)
{
	const struct endpoint *endpoint = context->destination.endpoint;
	struct {
		__u8 destination[6];
		__u8 source[6];
	} macs;
	int reason = ttl_decrement(skb);

	if (reason)
		return reason;
	__builtin_memcpy(macs.destination, endpoint->mac, 6);
	__builtin_memcpy(macs.source, endpoint->gateway_mac, 6);
	if (bpf_skb_store_bytes(skb, 0, &macs, sizeof(macs), 0) < 0)
		return DROP_WRITE_ERROR;
	trace_forward(skb, context, TRACE_TO_ENDPOINT);
	*action = bpf_redirect_peer(endpoint->ifindex, 0);
	return 0;
}

/* The device that leads to the packet's destination, which must be an uplink. Returns 0 or a drop reason. */
static __noinline int uplink_for(struct __sk_buff *skb, const struct context *context, __u32 *ifindex)
{
	struct bpf_fib_lookup fib = { .family = 2 /* AF_INET */, .ifindex = skb->ifindex };
	int code;

	fib.l4_protocol = context->packet.protocol;
	fib.ipv4_src = context->packet.source.word[3];
	fib.ipv4_dst = context->packet.destination.word[3];
	code = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (code != BPF_FIB_LKUP_RET_SUCCESS && code != BPF_FIB_LKUP_RET_NO_NEIGH)
		return code == BPF_FIB_LKUP_RET_NOT_FWDED || code == BPF_FIB_LKUP_RET_UNREACHABLE ? DROP_NO_UPLINK
												   : DROP_FIB_FAILED;
	/* before 5.12 a missing neighbour left the device out of the answer */
	*ifindex = fib.ifindex == skb->ifindex ? context->config->uplink : fib.ifindex;
	return 0;
}

/* Out to the world, masqueraded unless the destination is native; sets *action. Returns 0 or a drop reason. */
static __always_inline int deliver_world(struct __sk_buff *skb, struct context *context, int *action)
{
	struct packet *packet = &context->packet;
	const struct uplink *uplink;
	__u32 ifindex = 0;
	int reason = uplink_for(skb, context, &ifindex);

	if (reason)
		return reason;
	uplink = bpf_map_lookup_elem(&weir_uplink, &ifindex);
	if (!uplink)
		return DROP_NO_UPLINK;
	reason = ttl_decrement(skb);
	if (reason)
		return reason;
	if (!(context->destination.flags & IPCACHE_NATIVE)) {
		struct rewrite rewrite = { .address_offset = IP_SOURCE_OFFSET,
					   .old_address = packet->source.word[3],
					   .new_address = uplink->ip4.word[3],
					   .old_port = packet->tuple.source_port,
					   .is_source = true };

		if (!rewrite.new_address)
			return DROP_NAT_NO_MAPPING;
		if (packet->protocol == IPPROTO_SCTP)
			return DROP_NAT_UNSUPPORTED; /* its CRC32c would have to be computed over the whole packet */
		rewrite.new_port = nat_port_for(context, uplink);
		if (!rewrite.new_port)
			return DROP_NO_MASQUERADE_PORT;
		if (rewrite.new_port != context->nat_port)
			nat_remember(&packet->tuple, rewrite.new_port);
		reason = nat_translate(skb, packet, &rewrite);
		if (reason)
			return reason;
	}
	trace_forward(skb, context, TRACE_TO_NETWORK);
	*action = bpf_redirect_neigh(ifindex, 0, 0, 0);
	return 0;
}
