/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What a frame says, read once. Ports of ICMP echo are (id, 0) from the asking side; an ICMP error carries the tuple
 * of the packet it complains about, turned round, so that it is looked up as an answer to it.
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

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff
#define L3_OFFSET ETH_HLEN

#define TCP_FLAG_FIN_BIT 0x01
#define TCP_FLAG_SYN_BIT 0x02
#define TCP_FLAG_RST_BIT 0x04
#define TCP_FLAG_ACK_BIT 0x10

struct tuple {
	struct addr source;
	struct addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
};

struct packet {
	struct tuple tuple;	/* the flow the packet belongs to */
	struct addr source;	/* the packet's own, other than the flow's only in ICMP errors */
	struct addr destination;
	__u32 l4;		/* offset of the L4 header */
	__u32 end;		/* offset behind the last byte that the IP header owns up to */
	__u32 inner;		/* offset of the inner IP header of an ICMP error, else 0 */
	__u8 protocol;		/* of the packet itself */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	bool headless; /* a later fragment: no L4 header in it */
};

struct ports {
	__be16 source;
	__be16 destination;
};

/* First fragments leave their ports here for the ones that follow. Key: RFC 791's four fields. */
struct fragment_key {
	struct addr source;
	struct addr destination;
	__u32 id;
	__u8 protocol;
	__u8 unused[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, struct ports);
} weir_fragment SEC(".maps");

static __always_inline bool icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *packet)
{
	struct tcphdr tcp;
	__u8 flags;

	if (packet->l4 + sizeof(tcp) > packet->end || bpf_skb_load_bytes(skb, packet->l4, &tcp, sizeof(tcp)) < 0)
		return DROP_CT_INVALID_HEADER;
	if (tcp.doff < 5 || packet->l4 + tcp.doff * 4 > packet->end)
		return DROP_CT_INVALID_HEADER;
	flags = ((__u8 *)&tcp)[13];
	if (!flags || ((flags & TCP_FLAG_SYN_BIT) && (flags & (TCP_FLAG_FIN_BIT | TCP_FLAG_RST_BIT))))
		return DROP_INVALID;
	packet->tcp_flags = flags;
	packet->tuple.source_port = tcp.source;
	packet->tuple.destination_port = tcp.dest;
	return 0;
}

/* The tuple of the packet inside an ICMP error, turned round. */
static __always_inline int parse_icmp_inner(struct __sk_buff *skb, struct packet *packet)
{
	struct iphdr ip;
	struct ports ports;

	packet->inner = packet->l4 + sizeof(struct icmphdr);
	if (bpf_skb_load_bytes(skb, packet->inner, &ip, sizeof(ip)) < 0)
		return DROP_CT_INVALID_HEADER;
	if (ip.version != 4 || ip.ihl != 5 || (ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET)))
		return DROP_CT_INVALID_HEADER;
	if (bpf_skb_load_bytes(skb, packet->inner + sizeof(ip), &ports, sizeof(ports)) < 0)
		return DROP_CT_INVALID_HEADER;
	if (ip.protocol == IPPROTO_ICMP) {
		/* `ports` holds type, code and checksum of the inner message */
		__u8 type = *(__u8 *)&ports;
		__be16 id;

		if (type != ICMP_ECHO && type != ICMP_ECHOREPLY)
			return DROP_UNKNOWN_ICMP4_TYPE;
		if (bpf_skb_load_bytes(skb, packet->inner + sizeof(ip) + 4, &id, sizeof(id)) < 0)
			return DROP_CT_INVALID_HEADER;
		ports.source = type == ICMP_ECHO ? id : 0;
		ports.destination = type == ICMP_ECHO ? 0 : id;
	} else if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP && ip.protocol != IPPROTO_SCTP) {
		return DROP_UNKNOWN_L4;
	}
	packet->tuple.source = addr_from4(ip.daddr);
	packet->tuple.destination = addr_from4(ip.saddr);
	packet->tuple.source_port = ports.destination;
	packet->tuple.destination_port = ports.source;
	packet->tuple.protocol = ip.protocol;
	return 0;
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct packet *packet)
{
	struct icmphdr icmp;

	if (packet->l4 + sizeof(icmp) > packet->end || bpf_skb_load_bytes(skb, packet->l4, &icmp, sizeof(icmp)) < 0)
		return DROP_CT_INVALID_HEADER;
	packet->icmp_type = icmp.type;
	packet->icmp_code = icmp.code;
	if (icmp_is_error(icmp.type))
		return parse_icmp_inner(skb, packet);
	if (icmp.type == ICMP_ECHO)
		packet->tuple.source_port = icmp.id;
	else if (icmp.type == ICMP_ECHOREPLY)
		packet->tuple.destination_port = icmp.id;
	else
		return DROP_UNKNOWN_ICMP4_TYPE;
	return 0;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *packet)
{
	struct ports ports;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(skb, packet);
	case IPPROTO_ICMP:
		return parse_icmp(skb, packet);
	case IPPROTO_UDP:
		if (packet->l4 + sizeof(struct udphdr) > packet->end)
			return DROP_CT_INVALID_HEADER;
		break;
	case IPPROTO_SCTP:
		if (packet->l4 + 12 > packet->end)
			return DROP_CT_INVALID_HEADER;
		break;
	default:
		return DROP_UNKNOWN_L4;
	}
	if (bpf_skb_load_bytes(skb, packet->l4, &ports, sizeof(ports)) < 0)
		return DROP_CT_INVALID_HEADER;
	packet->tuple.source_port = ports.source;
	packet->tuple.destination_port = ports.destination;
	return 0;
}

/* Ports of a fragmented datagram: the first fragment leaves them, later ones take them. */
static __always_inline int parse_fragment(struct __sk_buff *skb, struct packet *packet, const struct iphdr *ip)
{
	struct fragment_key key = { .source = packet->source,
				    .destination = packet->destination,
				    .id = ip->id,
				    .protocol = ip->protocol };
	struct ports *ports, first;
	int reason;

	if (ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET)) {
		packet->headless = true;
		ports = bpf_map_lookup_elem(&weir_fragment, &key);
		if (!ports)
			return DROP_FRAGMENT_NOT_FOUND;
		packet->tuple.source_port = ports->source;
		packet->tuple.destination_port = ports->destination;
		return 0;
	}
	reason = parse_l4(skb, packet);
	if (reason || packet->inner)
		return reason;
	first.source = packet->tuple.source_port;
	first.destination = packet->tuple.destination_port;
	bpf_map_update_elem(&weir_fragment, &key, &first, BPF_ANY);
	return 0;
}

/* Reads an IPv4 frame. Returns 0 or a drop reason; the tuple is filled as far as it was read. */
static __noinline int parse4(struct __sk_buff *skb, struct packet *packet)
{
	struct iphdr ip;
	__u32 total;

	if (bpf_skb_load_bytes(skb, L3_OFFSET, &ip, sizeof(ip)) < 0)
		return DROP_INVALID;
	total = bpf_ntohs(ip.tot_len);
	packet->source = packet->tuple.source = addr_from4(ip.saddr);
	packet->destination = packet->tuple.destination = addr_from4(ip.daddr);
	packet->protocol = packet->tuple.protocol = ip.protocol;
	if (ip.version != 4 || ip.ihl < 5)
		return DROP_INVALID;
	/* a GSO frame longer than 64 KiB says 0 (BIG TCP) */
	if (total ? total < sizeof(ip) || total + L3_OFFSET > skb->len : skb->len <= 0xffff)
		return DROP_INVALID;
	if (ip.ihl > 5)
		return DROP_IP_OPTIONS;
	packet->l4 = L3_OFFSET + sizeof(ip);
	packet->end = total ? L3_OFFSET + total : skb->len;
	if (ip.frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))
		return parse_fragment(skb, packet, &ip);
	return parse_l4(skb, packet);
}
