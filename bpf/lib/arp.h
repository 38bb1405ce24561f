/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* The gateway exists only here: requests for its address are answered with the host side's own MAC (RFC 826). */
#pragma once
#include "deliver.h"

/* <linux/if_arp.h> would pull in libc's headers. */
#define ARPHRD_ETHER 1
#define ARPOP_REQUEST 1
#define ARPOP_REPLY 2

struct arp_frame {
	__u8 destination[6];
	__u8 source[6];
	__be16 ethertype;
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender_ip;
	__u8 target_mac[6];
	__be32 target_ip;
} __attribute__((packed));

/* Answers a request for the gateway, lets the host hear what a container says of itself. Returns 0 or a drop reason. */
static __always_inline int arp_send(struct __sk_buff *skb, struct context *context, const struct device *device)
{
	const struct endpoint *endpoint = &device->endpoint;
	struct arp_frame frame;
	__be32 asked;

	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) < 0)
		return DROP_INVALID;
	if (frame.hardware != bpf_htons(ARPHRD_ETHER) || frame.protocol != bpf_htons(ETH_P_IP) ||
	    frame.hardware_length != 6 || frame.protocol_length != 4)
		return DROP_INVALID;
	context->packet.source = addr_from4(frame.sender_ip);
	context->packet.destination = addr_from4(frame.target_ip);
	if (!mac_equal(frame.source, endpoint->mac) || !mac_equal(frame.sender_mac, endpoint->mac))
		return DROP_INVALID_SOURCE_MAC;
	/* a probe has no address yet (RFC 5227) */
	if (frame.sender_ip && !device_owner(device, &context->packet.source))
		return DROP_INVALID_SOURCE_IP;
	if (frame.operation == bpf_htons(ARPOP_REPLY) || frame.sender_ip == frame.target_ip) {
		context->action = TC_ACT_OK;
		return 0;
	}
	asked = frame.target_ip;
	if (frame.operation != bpf_htons(ARPOP_REQUEST) || !asked || asked != device->gateway4.word[3])
		return DROP_UNKNOWN_L3_TARGET;
	__builtin_memcpy(frame.destination, frame.sender_mac, 6);
	__builtin_memcpy(frame.source, endpoint->gateway_mac, 6);
	__builtin_memcpy(frame.target_mac, frame.sender_mac, 6);
	frame.target_ip = frame.sender_ip;
	__builtin_memcpy(frame.sender_mac, endpoint->gateway_mac, 6);
	frame.sender_ip = asked;
	frame.operation = bpf_htons(ARPOP_REPLY);
	if (bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), 0) < 0)
		return DROP_WRITE_ERROR;
	context->action = bpf_redirect(skb->ifindex, 0);
	return 0;
}
