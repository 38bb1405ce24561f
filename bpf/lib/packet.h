/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What a packet is, once read: whose it is, and the flow it belongs to.
 *
 *   0        14     34                42            62
 *   Ethernet | IPv4 | TCP, UDP, SCTP
 *            |      | ICMP            | quoted IPv4 | its ports, or type, code, checksum, id
 *
 *   0        14     54                62            102
 *   Ethernet | IPv6 | TCP, UDP, SCTP
 *            |      | ICMPv6          | quoted IPv6 | as above
 *
 * Headers with options or extensions are refused, but for the eight bytes of a fragment header or a jumbo payload's,
 * which may stand behind the IPv6 header. So an L4 header has one of three places, and one bounds check admits direct
 * access.
 */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "addr.h"
#include "drop.h"

/* RFC 792 and 4443; <linux/icmp.h> would pull in libc's headers. */
enum icmp_type {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_REDIRECT = 5,
	ICMP_ECHO = 8,
	ICMP_ROUTER_ADVERTISEMENT = 9,
	ICMP_ROUTER_SOLICITATION = 10,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP6_UNREACH = 1,
	ICMP6_PARAMETERPROB = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHOREPLY = 129,
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
#define L4_OFFSET4 (L3_OFFSET + sizeof(struct iphdr))
#define L4_OFFSET6 (L3_OFFSET + sizeof(struct ipv6hdr))
/* Of a fragment header, and of hop-by-hop options that only say how long a jumbo payload is. */
#define EXTENSION_SIZE 8
#define HEADERS_MAX4 (L4_OFFSET4 + sizeof(struct icmphdr) + sizeof(struct iphdr) + sizeof(union l4_start))
#define HEADERS_MAX6                                                                                                   \
	(L4_OFFSET6 + sizeof(struct icmphdr) + sizeof(struct ipv6hdr) + sizeof(union l4_start) + 2 * EXTENSION_SIZE)

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
	__u8 message; /* type of an ICMP message that is neither echo nor error: a flow by itself, without ports */
	__u8 unused;
};

enum fragment { FRAGMENT_NONE = 0, FRAGMENT_FIRST = 1, FRAGMENT_LATER = 2 };

struct packet {
	struct tuple tuple;	 /* the flow's; an ICMP error belongs to the flow it quotes, turned round */
	struct addr source;	 /* the packet's own, other than the flow's only in ICMP errors */
	struct addr destination; /* always the flow's */
	__be32 id;
	__u8 protocol; /* of the packet itself */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 is_error; /* an ICMP error, with a quoted packet in it */
	__u8 fragment; /* enum fragment; a later one has no L4 header */
	__u8 is6;
	__u8 l4;	/* where its L4 header is */
	__u8 l4_length; /* of the L4 header */
	__u8 inner_l4;	/* of an ICMP error: where the quoted packet has it */
	__u8 unused[2];
};

/* `size` bytes of the frame at an offset, or NULL. */
#define HEADER_AT(skb, offset, type)                                                                                   \
	({                                                                                                             \
		void *start_ = (void *)(long)(skb)->data + (offset);                                                   \
		start_ + sizeof(type) > (void *)(long)(skb)->data_end ? (type *)0 : (type *)start_;                    \
	})

/* Makes the headers readable in place; frames from a socket nearly always have them so. */
static __always_inline void headers_pull(struct __sk_buff *skb, __u32 size)
{
	long linear = (long)skb->data_end - (long)skb->data;

	if (linear < size && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < size ? skb->len : size);
}

static __always_inline bool is_icmp(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static __always_inline bool icmp_is_error(__u8 type, bool is6)
{
	if (is6)
		return type >= ICMP6_UNREACH && type <= ICMP6_PARAMETERPROB;
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* What steers the hosts of a link, and is nothing that one endpoint may say to another, whatever policy says. */
static __always_inline bool icmp4_steers(__u8 type)
{
	return type == ICMP_REDIRECT || type == ICMP_ROUTER_ADVERTISEMENT || type == ICMP_ROUTER_SOLICITATION;
}

/*
 * The same of ICMPv6: multicast listening (130 to 132, 143, 151 to 153),
 * routers, neighbours and redirects (133 to 137), renumbering, inverse and secure discovery (138, 141, 142, 148, 149).
 */
static __always_inline bool icmp6_steers(__u8 type)
{
	const __u32 from_130 = 0x1ff | 7 << 11 | 3 << 18 | 7 << 21;

	return type >= 130 && type < 154 && from_130 >> (type - 130) & 1;
}

/*
 * No unicast address of another machine: 0/8, 127/8, 224/4 and beyond; multicast, what is good on one link only, and
 * 0::/96, where :: and ::1 are.
 */
static __always_inline bool is_beyond_reach(const struct addr *address)
{
	__u8 first = *(const __u8 *)&address->word[3];

	if (addr_is4(address))
		return first == 0 || first == 127 || first >= 224;
	return addr_is_multicast6(address) || addr_is_link_local6(address) || (!address->half[0] && !address->word[2]);
}
