/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What the gateway says of a packet that is too large for the way out: how large it may be (RFC 1191, RFC 8201). The
 * frame becomes that message, which quotes the header and the first eight bytes behind it.
 */
#pragma once
#include "rewrite.h"

#define ICMP_FRAGMENTATION_NEEDED 4 /* code of ICMP_DEST_UNREACH */
#define ICMP6_PACKET_TOO_BIG 2
#define TOO_BIG_HOPS 64

struct too_big4 {
	__u8 destination[6];
	__u8 source[6];
	__be16 ethertype;
	__be16 version;
	__be16 length;
	__be32 id;
	__u8 hops;
	__u8 protocol;
	__u16 header_check;
	__be32 ip_source;
	__be32 ip_destination;
	__u8 type;
	__u8 code;
	__u16 check;
	__be16 unused;
	__be16 mtu;
	__u8 quoted[sizeof(struct iphdr) + sizeof(union l4_start)];
} __attribute__((packed));

struct too_big6 {
	__u8 destination[6];
	__u8 source[6];
	__be16 ethertype;
	__be32 version;
	__be16 length;
	__u8 protocol;
	__u8 hops;
	struct addr ip_source;
	struct addr ip_destination;
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 mtu;
	__u8 quoted[sizeof(struct ipv6hdr) + sizeof(union l4_start)];
} __attribute__((packed));

#define TOO_BIG_LENGTH4 (sizeof(struct too_big4) - L3_OFFSET)
#define TOO_BIG_COVERED4 __builtin_offsetof(struct too_big4, type)
#define TOO_BIG_LENGTH6 (sizeof(struct too_big6) - L4_OFFSET6)
#define TOO_BIG_COVERED6 __builtin_offsetof(struct too_big6, ip_source)

/* Of a part of a frame on the stack, a multiple of four bytes long; to be added to what was summed before. */
static __always_inline __u16 checksum_of(const void *bytes, __u32 size, __s64 sum)
{
	sum = bpf_csum_diff(0, 0, (void *)bytes, size, sum);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* The sum of what an ICMPv6 checksum covers beside addresses and message. */
static __always_inline __s64 pseudo_sum6(__u32 length)
{
	__be32 pseudo[2] = { bpf_htonl(length), bpf_htonl(IPPROTO_ICMPV6) };

	return bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
}

/* Puts a message into the place of the frame and sends it back. */
static __always_inline void frame_replace(struct __sk_buff *skb, struct context *context, const void *frame, __u32 size)
{
	if (!bpf_skb_change_tail(skb, size, 0) && !bpf_skb_store_bytes(skb, 0, frame, size, 0))
		context->action = bpf_redirect(skb->ifindex, 0);
}

static __always_inline void too_big_tell4(struct __sk_buff *skb, struct context *context, const struct device *device,
					  __u16 mtu)
{
	struct too_big4 frame __attribute__((aligned(8))) = {
		.ethertype = bpf_htons(ETH_P_IP),
		.version = bpf_htons(0x4500),
		.length = bpf_htons(TOO_BIG_LENGTH4),
		.hops = TOO_BIG_HOPS,
		.protocol = IPPROTO_ICMP,
		.ip_source = device->gateway4.word[3],
		.ip_destination = context->packet.source.word[3],
		.type = ICMP_DEST_UNREACH,
		.code = ICMP_FRAGMENTATION_NEEDED,
		.mtu = bpf_htons(mtu),
	};

	if (!frame.ip_source || bpf_skb_load_bytes(skb, L3_OFFSET, frame.quoted, sizeof(frame.quoted)) < 0)
		return;
	mac_copy(frame.destination, device->endpoint.mac);
	mac_copy(frame.source, device->endpoint.gateway_mac);
	frame.header_check = checksum_of((void *)&frame + L3_OFFSET, sizeof(struct iphdr), 0);
	frame.check = checksum_of((void *)&frame + TOO_BIG_COVERED4, sizeof(frame) - TOO_BIG_COVERED4, 0);
	frame_replace(skb, context, &frame, sizeof(frame));
}

static __always_inline void too_big_tell6(struct __sk_buff *skb, struct context *context, const struct device *device,
					  __u16 mtu)
{
	struct too_big6 frame __attribute__((aligned(8))) = {
		.ethertype = bpf_htons(ETH_P_IPV6),
		.version = bpf_htonl(0x60000000),
		.length = bpf_htons(TOO_BIG_LENGTH6),
		.protocol = IPPROTO_ICMPV6,
		.hops = TOO_BIG_HOPS,
		.type = ICMP6_PACKET_TOO_BIG,
		.mtu = bpf_htonl(mtu),
	};

	if (addr_is_none(&device->gateway6) ||
	    bpf_skb_load_bytes(skb, L3_OFFSET, frame.quoted, sizeof(frame.quoted)) < 0)
		return;
	frame.ip_source = device->gateway6;
	frame.ip_destination = context->packet.source;
	mac_copy(frame.destination, device->endpoint.mac);
	mac_copy(frame.source, device->endpoint.gateway_mac);
	frame.check = checksum_of((void *)&frame + TOO_BIG_COVERED6, sizeof(frame) - TOO_BIG_COVERED6,
				  pseudo_sum6(TOO_BIG_LENGTH6));
	frame_replace(skb, context, &frame, sizeof(frame));
}

/* Answers a packet that is refused with DROP_FRAGMENTATION_NEEDED, unless it is itself an error or a fragment. */
static __noinline int too_big_tell(struct __sk_buff *skb, __u16 mtu)
{
	struct context *context = context_get();
	__u32 ifindex = skb->ifindex;
	const struct device *device = bpf_map_lookup_elem(&weir_device, &ifindex);
	const struct packet *packet;

	if (!context || !device)
		return 0;
	packet = &context->packet;
	if (packet->is_error || packet->fragment)
		return 0;
	if (packet->is6 && packet->l4 == L4_OFFSET6)
		too_big_tell6(skb, context, device, mtu);
	else if (!packet->is6)
		too_big_tell4(skb, context, device, mtu);
	return 0;
}
