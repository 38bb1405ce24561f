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

/* Turns a request for the gateway into its answer; sets *action. Returns 0 or a drop reason. */
static __noinline int arp_answer(struct __sk_buff *skb, const struct endpoint *endpoint, int *action)
{
	struct arp_frame frame;
	__be32 asked;

	if (!endpoint)
		return DROP_NO_CONFIGURATION;
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) < 0)
		return DROP_INVALID;
	if (frame.hardware != bpf_htons(ARPHRD_ETHER) || frame.protocol != bpf_htons(ETH_P_IP) ||
	    frame.hardware_length != 6 || frame.protocol_length != 4)
		return DROP_INVALID;
	for (int i = 0; i < 6; i++)
		if (frame.sender_mac[i] != endpoint->mac[i])
			return DROP_INVALID_SOURCE_MAC;
	if (frame.operation == bpf_htons(ARPOP_REPLY)) {
		/* the host asked for the container's address, and only the host's stack can hear the answer */
		*action = 0;
		return 0;
	}
	asked = frame.target_ip;
	if (frame.operation != bpf_htons(ARPOP_REQUEST) || asked != endpoint->gateway || !asked)
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
	*action = bpf_redirect(skb->ifindex, 0);
	return 0;
}
