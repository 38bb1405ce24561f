/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What a packet is, once read: whose it is, and the flow it belongs to.
 *
 *   0        14          34                42             62
 *   Ethernet | IPv4      | TCP, UDP, SCTP
 *            |           | ICMP            | quoted IPv4  | its ports, or type, code, checksum, id
 *
 * Headers with options are refused, so every offset is a constant and one bounds check admits direct access.
 */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "addr.h"
#include "drop.h"

/* RFC 792; <linux/icmp.h> would pull in libc's headers. */
enum icmp_type {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
};

struct icmphdr {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

/* The first eight bytes of any L4 header. */
union l4_start {
	struct {
		__be16 source;
		__be16 destination;
	};
	struct icmphdr icmp;
};

#define L3_OFFSET ETH_HLEN
#define L4_OFFSET (L3_OFFSET + sizeof(struct iphdr))
#define INNER_OFFSET (L4_OFFSET + sizeof(struct icmphdr))
#define INNER_L4_OFFSET (INNER_OFFSET + sizeof(struct iphdr))
#define HEADERS_MAX (INNER_L4_OFFSET + sizeof(union l4_start))

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff

#define TCP_FLAG_FIN_BIT 0x01
#define TCP_FLAG_SYN_BIT 0x02
#define TCP_FLAG_RST_BIT 0x04
#define TCP_FLAG_ACK_BIT 0x10

struct tuple {
	struct addr source;
	struct addr destination;
	__be16 source_port; /* of ICMP echo: the id, on the side that asks; 0 on the other */
	__be16 destination_port;
	__u8 protocol;
	__u8 answers; /* ICMP echo tells by its type who asked: 1 = the destination did */
	__u16 unused;
};

enum fragment { FRAGMENT_NONE = 0, FRAGMENT_FIRST = 1, FRAGMENT_LATER = 2 };

struct packet {
	struct tuple tuple;	 /* the flow's; an ICMP error belongs to the flow it quotes, turned round */
	struct addr source;	 /* the packet's own, other than the flow's only in ICMP errors */
	struct addr destination; /* always the flow's */
	__be16 id;
	__u8 protocol; /* of the packet itself */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 is_error; /* an ICMP error, with a quoted packet in it */
	__u8 fragment; /* enum fragment; a later one has no L4 header */
};

/* `size` bytes of the frame at a constant offset, or NULL. */
#define HEADER_AT(skb, offset, type)                                                                                   \
	({                                                                                                             \
		void *start_ = (void *)(long)(skb)->data + (offset);                                                   \
		start_ + sizeof(type) > (void *)(long)(skb)->data_end ? (type *)0 : (type *)start_;                    \
	})

/* Makes the headers readable in place; frames from a socket nearly always have them so. */
static __always_inline void headers_pull(struct __sk_buff *skb)
{
	long linear = (long)skb->data_end - (long)skb->data;

	if (linear < HEADERS_MAX && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
}

static __always_inline bool icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* No unicast address of another machine: 0/8, 127/8, 224/4 and beyond. */
static __always_inline bool is_beyond_reach(const struct addr *address)
{
	__u8 first = *(const __u8 *)&address->word[3];

	return first == 0 || first == 127 || first >= 224;
}
