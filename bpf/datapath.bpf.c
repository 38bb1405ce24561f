/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The datapath's entry programs. Each reads a packet, finds out who its two sides are, asks for a verdict and sends it
 * on; only here does a drop reason become an event and a counter. Nothing in this object is made for one container:
 * what differs between endpoints is in maps.
 */
#include <linux/pkt_cls.h>
#include "lib/arp.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* The packet's two sides: of its flow, which for an ICMP error is the quoted one's. */
static __always_inline void sides_resolve(struct context *context)
{
	side_resolve(&context->packet.tuple.source, &context->source);
	side_resolve(&context->packet.tuple.destination, &context->destination);
}

/* No unicast address of another machine: 0/8, 127/8, 224/4 and beyond. */
static __always_inline bool is_beyond_reach(const struct addr *address)
{
	__u8 first = *(const __u8 *)&address->word[3];

	return first == 0 || first == 127 || first >= 224;
}

/* Anti-spoofing: the frame comes from the device's MAC, for the gateway's, from an address of its container. */
static __noinline int source_check(struct __sk_buff *skb, const struct device *device, struct context *context)
{
	const struct packet *packet = &context->packet;
	const struct endpoint *owner;

	if (addr_equal(&packet->source, &device->ip4)) {
		context->source.endpoint = &device->endpoint;
	} else {
		owner = bpf_map_lookup_elem(&weir_endpoint, &packet->source);
		if (!owner || owner->container != device->endpoint.container || !owner->container)
			return DROP_INVALID_SOURCE_IP;
		context->source.endpoint = owner;
	}
	if (packet->inner && !addr_equal(&packet->source, &packet->tuple.source))
		return DROP_INVALID_SOURCE_IP;
	context->source.identity = context->source.endpoint->identity;
	context->source.spaces = context->source.endpoint->spaces;
	context->source.flags = 0;
	return 0;
}

static __always_inline int macs_check(struct __sk_buff *skb, const struct endpoint *endpoint)
{
	struct ethhdr eth;

	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)) < 0)
		return DROP_INVALID;
	for (int i = 0; i < 6; i++) {
		if (eth.h_source[i] != endpoint->mac[i])
			return DROP_INVALID_SOURCE_MAC;
		if (eth.h_dest[i] != endpoint->gateway_mac[i])
			return DROP_INVALID_DESTINATION_MAC;
	}
	return 0;
}

static __always_inline int container_send(struct __sk_buff *skb, struct context *context, int *action)
{
	struct side *destination = &context->destination;
	int reason;

	if (is_beyond_reach(&context->packet.destination))
		return DROP_UNKNOWN_L3_TARGET;
	side_resolve(&context->packet.tuple.destination, destination);
	if (destination->flags & IPCACHE_UNROUTABLE)
		return DROP_STALE_OR_UNROUTABLE;
	reason = flow_verdict(skb, context, false);
	if (reason)
		return reason;
	if (destination->endpoint)
		return deliver_local(skb, context, action);
	if (destination->identity == IDENTITY_HOST) {
		trace_forward(skb, context, TRACE_TO_STACK);
		*action = TC_ACT_OK;
		return 0;
	}
	return deliver_world(skb, context, action);
}

/* Host side of a veth, ingress: what a container sends. */
SEC("tc")
int from_container(struct __sk_buff *skb)
{
	struct context context = { .direction = DIRECTION_EGRESS, .config = config_get() };
	__u32 ifindex = skb->ifindex;
	const struct device *device = bpf_map_lookup_elem(&weir_device, &ifindex);
	int action = TC_ACT_SHOT, reason;

	if (!device || !context.config)
		return drop(skb, &context, DROP_NO_CONFIGURATION);
	context.source.endpoint = &device->endpoint;
	context.source.identity = device->endpoint.identity;
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		reason = arp_answer(skb, &device->endpoint, &action);
		return reason ? drop(skb, &context, reason) : action;
	}
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return drop(skb, &context, DROP_UNSUPPORTED_L3);
	reason = parse4(skb, &context.packet);
	if (!reason)
		reason = macs_check(skb, &device->endpoint);
	if (!reason)
		reason = source_check(skb, device, &context);
	if (!reason)
		reason = container_send(skb, &context, &action);
	return reason ? drop(skb, &context, reason) : action;
}

/* Host side of a veth, egress: what the host's stack sends to a container. */
SEC("tc")
int to_container(struct __sk_buff *skb)
{
	struct context context = { .direction = DIRECTION_INGRESS, .config = config_get() };
	__u32 ifindex = skb->ifindex;
	const struct device *device = bpf_map_lookup_elem(&weir_device, &ifindex);
	const struct endpoint *target;
	int reason;

	if (!device || !context.config)
		return drop(skb, &context, DROP_NO_CONFIGURATION);
	context.destination.endpoint = &device->endpoint;
	context.destination.identity = device->endpoint.identity;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return TC_ACT_OK;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return drop(skb, &context, DROP_UNSUPPORTED_L3);
	reason = parse4(skb, &context.packet);
	if (reason)
		return drop(skb, &context, reason);
	sides_resolve(&context);
	target = context.destination.endpoint;
	if (!target || target->container != device->endpoint.container)
		return drop(skb, &context, DROP_UNKNOWN_L3_TARGET);
	/* what a container sends never comes this way: somebody outside borrows its address */
	if (context.source.endpoint)
		return drop(skb, &context, DROP_INVALID_SOURCE_IP);
	reason = flow_verdict(skb, &context, false);
	if (reason)
		return drop(skb, &context, reason);
	trace_forward(skb, &context, TRACE_TO_ENDPOINT);
	return TC_ACT_OK;
}

/* The container's address and port behind an answer from the world, written into packet and tuple. */
static __noinline int world_answer(struct __sk_buff *skb, struct context *context, const struct nat_entry *nat)
{
	struct packet *packet = &context->packet;
	struct rewrite rewrite = { .address_offset = IP_DESTINATION_OFFSET,
				   .old_address = packet->destination.word[3],
				   .new_address = nat->address.word[3],
				   .old_port = packet->tuple.destination_port,
				   .new_port = nat->port };
	int reason;

	packet->destination = packet->tuple.destination = nat->address;
	packet->tuple.destination_port = nat->port;
	sides_resolve(context);
	if (!context->destination.endpoint)
		return DROP_STALE_OR_UNROUTABLE;
	reason = flow_verdict(skb, context, true);
	return reason ? reason : nat_translate(skb, packet, &rewrite);
}

/* The host's NIC, ingress: only answers to masqueraded connections are touched, everything else is the host's. */
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct context context = { .direction = DIRECTION_INGRESS, .config = config_get() };
	struct packet *packet = &context.packet;
	const struct nat_entry *nat;
	int action = TC_ACT_SHOT, reason;

	if (skb->protocol != bpf_htons(ETH_P_IP) || !context.config || parse4(skb, packet))
		return TC_ACT_OK;
	nat = nat_find(&packet->tuple);
	if (!nat)
		return TC_ACT_OK;
	reason = world_answer(skb, &context, nat);
	if (!reason)
		reason = deliver_local(skb, &context, &action);
	return reason ? drop(skb, &context, reason) : action;
}
