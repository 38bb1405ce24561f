/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What IPv6 has instead of ARP (RFC 4861). The gateway exists only here: who asks for it is answered with the host
 * side's own MAC. Everything else that a container tells its neighbourhood ends here, because there is none.
 */
#pragma once
#include "deliver.h"

enum nd_type {
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_NEIGHBOUR_SOLICITATION = 135,
	ND_NEIGHBOUR_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
};

#define ND_HOP_LIMIT 255	 /* it came over no router */
#define ND_SOLICITED_ANSWER 0xe0 /* of a router, solicited, overrides what was known */
#define ND_SOURCE_MAC 1
#define ND_TARGET_MAC 2

/* A solicitation or advertisement with one option: the sender's MAC. */
struct nd_frame {
	__u8 destination[6];
	__u8 source[6];
	__be16 ethertype;
	__u8 version;
	__u8 flow[3];
	__be16 payload_length;
	__u8 protocol;
	__u8 hop_limit;
	struct addr ip_source;
	struct addr ip_destination;
	__u8 type;
	__u8 code;
	__u16 check;
	__u8 flags;
	__u8 reserved[3];
	struct addr target;
	__u8 option;
	__u8 option_length; /* in eights */
	__u8 option_mac[6];
} __attribute__((packed));

#define ND_COVERED __builtin_offsetof(struct nd_frame, ip_source)
#define ND_FIXED __builtin_offsetof(struct nd_frame, option)
#define ND_CHECKED (sizeof(struct nd_frame) - L4_OFFSET6)

/* The first option names no MAC, or this one. */
static __always_inline bool nd_is_honest(struct __sk_buff *skb, const __u8 *mac)
{
	struct {
		__u8 type;
		__u8 length;
		__u8 mac[6];
	} option;

	if (bpf_skb_load_bytes(skb, ND_FIXED, &option, sizeof(option)) < 0)
		return true;
	return (option.type != ND_SOURCE_MAC && option.type != ND_TARGET_MAC) || mac_equal(option.mac, mac);
}

/* Sends back what the gateway says to `frame`. Returns 0 or a drop reason. */
static __always_inline int nd_answer(struct __sk_buff *skb, struct context *context, const struct endpoint *endpoint,
				     struct nd_frame *frame)
{
	struct addr asked = frame->target, asker = frame->ip_source;

	mac_copy(frame->destination, endpoint->mac);
	mac_copy(frame->source, endpoint->gateway_mac);
	frame->payload_length = bpf_htons(ND_CHECKED);
	frame->ip_source = asked;
	frame->ip_destination = asker;
	frame->type = ND_NEIGHBOUR_ADVERTISEMENT;
	frame->check = 0;
	frame->flags = ND_SOLICITED_ANSWER;
	frame->option = ND_TARGET_MAC;
	frame->option_length = 1;
	mac_copy(frame->option_mac, endpoint->gateway_mac);
	/* both addresses and the message lie one behind the other */
	frame->check = checksum_of((void *)frame + ND_COVERED, sizeof(*frame) - ND_COVERED, pseudo_sum6(ND_CHECKED));
	if (skb->len != sizeof(*frame) && bpf_skb_change_tail(skb, sizeof(*frame), 0) < 0)
		return DROP_WRITE_ERROR;
	if (bpf_skb_store_bytes(skb, 0, frame, sizeof(*frame), 0) < 0)
		return DROP_WRITE_ERROR;
	context->action = bpf_redirect(skb->ifindex, 0);
	return 0;
}

/*
 * The network's gateway, or the usual one where the network has another: dockerd asks the kernel on which link fe80::1 is,
 * so the default route of one network may lead to the link of another.
 */
static __always_inline bool nd_is_gateway(const struct device *device, const struct addr *address)
{
	if (addr_is_none(&device->gateway6))
		return false;
	return addr_equal(address, &device->gateway6) || addr_is_usual_gateway(address);
}

/* Whether an address may be spoken of as the container's: one of its own, or one that is good on its link alone. */
static __always_inline bool nd_is_own(const struct device *device, const struct addr *address)
{
	if (addr_is_link_local6(address))
		return !nd_is_gateway(device, address);
	return device_owner(device, address);
}

/* Returns 0 where the gateway has answered, or a drop reason. */
static __always_inline int nd_solicit(struct __sk_buff *skb, struct context *context, const struct device *device,
				      struct nd_frame *frame)
{
	struct addr target = frame->target;

	/* asks whether somebody has its address already: nobody has (RFC 4862) */
	if (addr_is_none(&context->packet.source))
		return DROP_MULTICAST;
	context->packet.destination = target;
	if (!nd_is_own(device, &context->packet.source))
		return DROP_INVALID_SOURCE_IP;
	if (!nd_is_gateway(device, &target))
		return DROP_UNKNOWN_L3_TARGET;
	return nd_answer(skb, context, &device->endpoint, frame);
}

/* A message of a container that parsing refused as DROP_FORBIDDEN_ICMP6. Returns 0 or a drop reason. */
static __always_inline int nd_send(struct __sk_buff *skb, struct context *context, const struct device *device)
{
	const struct packet *packet = &context->packet;
	int ending = addr_is_multicast6(&packet->destination) ? DROP_MULTICAST : DROP_FORBIDDEN_ICMP6;
	struct nd_frame frame __attribute__((aligned(8))) = {};
	struct addr target;

	if (packet->icmp_type == ND_ROUTER_ADVERTISEMENT || packet->icmp_type == ND_REDIRECT)
		return DROP_FORBIDDEN_ICMP6;
	if (packet->icmp_type != ND_NEIGHBOUR_SOLICITATION && packet->icmp_type != ND_NEIGHBOUR_ADVERTISEMENT)
		return ending;
	/* never in fragments, and never over a router (RFC 6980, RFC 4861) */
	if (packet->l4 != L4_OFFSET6 || bpf_skb_load_bytes(skb, 0, &frame, ND_FIXED) < 0 ||
	    frame.hop_limit != ND_HOP_LIMIT || frame.code)
		return DROP_INVALID;
	if (!mac_equal(frame.source, device->endpoint.mac) || !nd_is_honest(skb, device->endpoint.mac))
		return DROP_INVALID_SOURCE_MAC;
	if (packet->icmp_type == ND_NEIGHBOUR_SOLICITATION)
		return nd_solicit(skb, context, device, &frame);
	target = frame.target;
	return nd_is_own(device, &target) ? ending : DROP_INVALID_SOURCE_IP;
}

/* Such a message on its way into a container: the gateway's answer, or nothing that concerns it. Returns 0 or a drop reason. */
static __always_inline int nd_receive(struct __sk_buff *skb, const struct packet *packet, const struct device *device)
{
	const struct ipv6hdr *ip = HEADER_AT(skb, L3_OFFSET, struct ipv6hdr);

	if (ip && ip->hop_limit == ND_HOP_LIMIT && packet->icmp_type == ND_NEIGHBOUR_ADVERTISEMENT &&
	    nd_is_gateway(device, &packet->source))
		return 0;
	return addr_is_multicast6(&packet->destination) ? DROP_MULTICAST : DROP_FORBIDDEN_ICMP6;
}
