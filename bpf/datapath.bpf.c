/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The datapath's entry programs. Each reads a packet, finds out who its two sides are, asks for a verdict and sends it
 * on; only here does a drop reason become an event and a counter. Nothing in this object is made for one container:
 * what differs between endpoints is in maps.
 */
#include "lib/arp.h"
#include "lib/fast.h"
#include "lib/frontend.h"
#include "lib/nd.h"
#include "lib/parse.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* From the device's MAC, for the gateway's, untagged: a tag would lead into another network behind the uplink. */
static __always_inline int frame_check(struct __sk_buff *skb, const struct endpoint *endpoint)
{
	const struct ethhdr *eth = HEADER_AT(skb, 0, struct ethhdr);

	if (!eth)
		return DROP_INVALID;
	if (skb->vlan_present)
		return DROP_VLAN;
	if (!mac_equal(eth->h_source, endpoint->mac))
		return DROP_INVALID_SOURCE_MAC;
	if (!mac_equal(eth->h_dest, endpoint->gateway_mac))
		return DROP_INVALID_DESTINATION_MAC;
	return 0;
}

/* Anti-spoofing: from an address of the device's container, and so is what an ICMP error claims to have received. */
static __always_inline int source_check(struct context *context, const struct device *device)
{
	const struct packet *packet = &context->packet;
	const struct endpoint *owner = device_owner(device, &packet->source);

	if (!owner || (packet->is_error && !addr_equal(&packet->source, &packet->tuple.source)))
		return DROP_INVALID_SOURCE_IP;
	if (owner != &device->endpoint)
		side_of_endpoint(owner, &context->source);
	return 0;
}

static __always_inline bool is_gateway(const struct device *device, const struct addr *address)
{
	return addr_equal(address, &device->gateway4) || nd_is_gateway(device, address);
}

/*
 * A packet for the host may be for a container all the same: by a published port, or where it answers one that has asked
 * itself by one. Then the flow is turned towards that container. Returns its endpoint, NULL where it has gone.
 */
static __always_inline const struct endpoint *host_port_find(struct context *context, bool *answers, bool *found)
{
	struct packet *packet = &context->packet;
	const struct nat_entry *nat = nat_find(&packet->tuple);

	*answers = nat;
	if (nat) {
		packet->destination = packet->tuple.destination = nat->address;
		packet->tuple.destination_port = nat->port;
	}
	*found = nat || frontend_enter(context);
	return *found ? side_resolve(&packet->destination, &context->destination) : 0;
}

/* What published ports make of an admitted packet of a container. Returns 0 or a drop reason. */
static __always_inline int container_translate(struct __sk_buff *skb, struct context *context,
					       const struct addr *outside, __be16 outside_port)
{
	int reason;

	if (!context->translated)
		return 0;
	if (!context->reply)
		return context->itself ? frontend_hide_self(skb, context)
				       : rewrite_destination(skb, context, outside, outside_port);
	reason = frontend_rewrite_source(skb, context);
	if (!reason && context->itself)
		reason = rewrite_destination(skb, context, outside, outside_port);
	return reason;
}

static __always_inline int container_send(struct __sk_buff *skb, struct context *context, const struct device *device)
{
	const struct packet *packet = &context->packet;
	const struct addr outside = packet->destination;
	const __be16 outside_port = packet->tuple.destination_port;
	struct side *destination = &context->destination;
	bool answers = false, found = false;
	const struct endpoint *endpoint;
	int reason;

	if (is_beyond_reach(&packet->destination))
		return DROP_UNKNOWN_L3_TARGET;
	endpoint = side_resolve(&packet->destination, destination);
	/* the gateway is nobody, unless the host really has its address */
	if (is_gateway(device, &packet->destination) && !endpoint && destination->identity != IDENTITY_HOST)
		return DROP_UNKNOWN_L3_TARGET;
	if (destination->identity == IDENTITY_HOST)
		endpoint = host_port_find(context, &answers, &found);
	if ((destination->reach & IPCACHE_UNROUTABLE) || (found && !endpoint))
		return DROP_STALE_OR_UNROUTABLE;
	reason = flow_verdict(answers);
	if (reason)
		return reason;
	fragment_remember(packet, &outside, outside_port);
	if (!endpoint && destination->identity != IDENTITY_HOST)
		return deliver_world(skb);
	context->itself = endpoint && endpoint->container == device->endpoint.container;
	reason = container_translate(skb, context, &outside, outside_port);
	if (reason)
		return reason;
	return endpoint ? deliver_local(skb, context, endpoint) : deliver_host(context);
}

static __always_inline int container_frame(struct __sk_buff *skb, struct context *context)
{
	__u32 ifindex = skb->ifindex;
	const struct device *device = bpf_map_lookup_elem(&weir_device, &ifindex);
	int reason;

	if (!device)
		return DROP_NO_CONFIGURATION;
	side_of_endpoint(&device->endpoint, &context->source);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return arp_send(skb, context, device);
	reason = parse(skb);
	if (reason == DROP_FORBIDDEN_ICMP6)
		return nd_send(skb, context, device);
	if (!reason)
		reason = frame_check(skb, &device->endpoint);
	if (!reason)
		reason = source_check(context, device);
	return reason ? reason : container_send(skb, context, device);
}

/* Host side of a veth, ingress: what a container sends. */
SEC("tc")
int from_container(struct __sk_buff *skb)
{
	int action = fast_forward(skb), reason;
	struct context *context;

	if (action != FAST_MISS)
		return action;
	context = context_begin(skb, DIRECTION_EGRESS);
	if (!context)
		return drop(skb, DIRECTION_EGRESS, DROP_NO_CONFIGURATION);
	reason = container_frame(skb, context);
	if (!reason)
		return context->action;
	drop(skb, context->direction, reason);
	/* the gateway may have something to say to its sender */
	return context->action ? context->action : TC_ACT_SHOT;
}

/* What a container sends never comes by the host's stack: somebody outside borrows its address, or one that is nobody's. */
static __always_inline int stranger_check(struct context *context)
{
	const struct packet *packet = &context->packet;

	if (side_resolve(&packet->tuple.source, &context->source) || (context->source.reach & IPCACHE_UNROUTABLE))
		return DROP_INVALID_SOURCE_IP;
	if (packet->is_error && bpf_map_lookup_elem(&weir_endpoint, &packet->source))
		return DROP_INVALID_SOURCE_IP;
	return 0;
}

static __always_inline int host_frame(struct __sk_buff *skb, struct context *context)
{
	__u32 ifindex = skb->ifindex;
	const struct device *device = bpf_map_lookup_elem(&weir_device, &ifindex);
	const struct packet *packet = &context->packet;
	const struct endpoint *owner;
	int reason;

	if (!device)
		return DROP_NO_CONFIGURATION;
	side_of_endpoint(&device->endpoint, &context->destination);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return 0;
	reason = parse(skb);
	if (reason == DROP_FORBIDDEN_ICMP6)
		return nd_receive(skb, packet, device);
	if (reason)
		return reason;
	owner = device_owner(device, &packet->destination);
	if (!owner)
		return DROP_UNKNOWN_L3_TARGET;
	if (owner != &device->endpoint)
		side_of_endpoint(owner, &context->destination);
	reason = stranger_check(context);
	if (reason)
		return reason;
	/* the host forwards it, and has masqueraded it: a container of another network, a machine behind this one */
	context->borrowed = skb->ingress_ifindex && context->source.identity == IDENTITY_HOST;
	reason = flow_verdict(false);
	if (reason)
		return reason;
	fragment_remember(packet, &packet->destination, packet->tuple.destination_port);
	trace_forward(context, TRACE_TO_ENDPOINT);
	return 0;
}

/* Host side of a veth, egress: what the host's stack sends to a container. */
SEC("tc")
int to_container(struct __sk_buff *skb)
{
	struct context *context = context_begin(skb, DIRECTION_INGRESS);
	int reason = context ? host_frame(skb, context) : DROP_NO_CONFIGURATION;

	return reason ? drop(skb, context ? context->direction : DIRECTION_INGRESS, reason) : TC_ACT_OK;
}

/* An answer to a masqueraded packet, given the container's address and port again. Returns 0 or a drop reason. */
static __always_inline int world_answer(struct __sk_buff *skb, struct context *context, struct nat_entry *nat)
{
	struct packet *packet = &context->packet;
	const struct addr outside = packet->destination;
	const struct endpoint *endpoint;
	int reason;

	context->rewrite.old_address = packet->destination;
	context->rewrite.new_address = nat->address;
	context->rewrite.old_port = packet->tuple.destination_port;
	context->rewrite.new_port = nat->port;
	packet->destination = packet->tuple.destination = nat->address;
	packet->tuple.destination_port = nat->port;
	reason = stranger_check(context);
	if (reason)
		return reason;
	endpoint = side_resolve(&packet->destination, &context->destination);
	if (!endpoint)
		return DROP_STALE_OR_UNROUTABLE;
	reason = flow_verdict(true);
	if (reason)
		return reason;
	fragment_remember(packet, &outside, context->rewrite.old_port);
	if (nat->expires != context->expires)
		nat->expires = context->expires;
	reason = rewrite_apply(skb);
	return reason ? reason : deliver_local(skb, context, endpoint);
}

/* What somebody outside sends to a published port. Returns 0 or a drop reason. */
static __always_inline int world_question(struct __sk_buff *skb, struct context *context)
{
	struct packet *packet = &context->packet;
	const struct endpoint *endpoint;
	int reason = stranger_check(context);

	/* nor does the host send to itself from outside */
	if (reason || context->source.identity == IDENTITY_HOST)
		return DROP_INVALID_SOURCE_IP;
	endpoint = side_resolve(&packet->destination, &context->destination);
	if (!endpoint)
		return DROP_STALE_OR_UNROUTABLE;
	reason = flow_verdict(false);
	if (reason)
		return reason;
	fragment_remember(packet, &context->frontend, context->frontend_port);
	reason = rewrite_destination(skb, context, &context->frontend, context->frontend_port);
	return reason ? reason : deliver_local(skb, context, endpoint);
}

/*
 * A device of the host's, ingress: answers to masqueraded connections, and what is for published ports. Everything else is
 * the host's, and that of whoever else has programs there: TC_ACT_OK would end their turn.
 */
static __always_inline int uplink_receive(struct __sk_buff *skb)
{
	struct context *context = context_begin(skb, DIRECTION_INGRESS);
	struct nat_entry *nat;
	int reason;

	if (!context || skb->vlan_present || parse(skb))
		return TC_ACT_UNSPEC;
	nat = nat_find(&context->packet.tuple);
	if (nat)
		reason = world_answer(skb, context, nat);
	else if (frontend_enter(context) && is_host(&context->frontend))
		reason = world_question(skb, context);
	else
		return TC_ACT_UNSPEC;
	return reason ? drop(skb, context->direction, reason) : context->action;
}

/* A NIC, or a bridge of the host. */
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	return uplink_receive(skb);
}

/*
 * Gives a bare packet the header that everything here reads and a container expects. The host's stack looks behind it.
 * Of two programs, while one takes over from the other, the first does it: no IP packet begins with zero.
 */
static __always_inline int frame_complete(struct __sk_buff *skb)
{
	__be16 protocol = skb->protocol;
	__u8 first = 0;

	if (bpf_skb_load_bytes(skb, 0, &first, sizeof(first)) < 0)
		return -1;
	if (!first)
		return 0;
	if (bpf_skb_change_head(skb, ETH_HLEN, 0) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol), 0);
}

/* A tunnel (WireGuard, TUN, PPP), whose packets have no Ethernet header. */
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	return frame_complete(skb) < 0 ? TC_ACT_UNSPEC : uplink_receive(skb);
}
