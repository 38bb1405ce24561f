/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The packet in the middle of a connection between two containers of this host: most packets are. What the long way
 * would find out about it has just been found out about the one before, and is in the connection: nothing was changed
 * since, neither policy (generation) nor endpoints (epoch), and not much time has passed (stamp). All it takes is one
 * lookup; and little code, because it runs with cold caches. Whatever is unusual about a packet sends it the long way.
 */
#pragma once
#include "deliver.h"

#define FAST_MISS -1

/* An Ethernet and an IP header without options and, behind them, all of a TCP header or a bit of a datagram. */
#define FAST_HEADERS4 (L4_OFFSET4 + sizeof(struct tcphdr))
#define FAST_HEADERS6 (L4_OFFSET6 + sizeof(struct tcphdr))

/* Nothing in what follows the IP header asks for a decision. */
static __always_inline bool is_plain(__u8 protocol, const struct tcphdr *tcp, __u32 l4, __u32 length)
{
	if (protocol != IPPROTO_TCP)
		return protocol == IPPROTO_UDP;
	return tcp->doff >= 5 && l4 + tcp->doff * 4 <= length &&
	       (((const __u8 *)tcp)[13] &
		(TCP_FLAG_FIN_BIT | TCP_FLAG_SYN_BIT | TCP_FLAG_RST_BIT | TCP_FLAG_ACK_BIT)) == TCP_FLAG_ACK_BIT;
}

/* Nor does anything in the header itself. */
static __always_inline bool is_plain4(const struct iphdr *ip, __u32 length)
{
	return *(const __u8 *)ip == 0x45 && ip->ttl > 1 &&
	       !(ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET)) &&
	       bpf_ntohs(ip->tot_len) + L3_OFFSET == length;
}

static __always_inline bool is_plain6(const struct ipv6hdr *ip, __u32 length)
{
	return *(const __u8 *)ip >> 4 == 6 && ip->hop_limit > 1 && bpf_ntohs(ip->payload_len) + L4_OFFSET6 == length;
}

/* The connection was found good under what is in force now, and this packet changes nothing about it. */
static __always_inline bool is_current(const struct ct_entry *entry, bool high)
{
	const struct config *config = config_get();
	const __u32 *epoch = epoch_get();
	bool reply = high != (entry->flags & CT_HIGH_ASKED);

	if (!config || !epoch || entry->stamp != ct_stamp() || entry->generation != config->generation ||
	    entry->epoch != *epoch || config->trace_level >= TRACE_MAX)
		return false;
	return !reply || (entry->flags & CT_REPLIED);
}

/* Where a packet of this flow goes, if nothing has to be decided about it; else NULL. */
static __always_inline const struct ct_end *fast_receiver(struct __sk_buff *skb, const struct ethhdr *eth,
							  const struct tuple *tuple)
{
	const struct ct_end *from, *to;
	const struct ct_entry *entry;
	struct ct_key key;
	bool high = ct_key_of(tuple, &key);

	entry = bpf_map_lookup_elem(&weir_ct, &key);
	if (!entry || !is_current(entry, high))
		return 0;
	from = high ? &entry->high : &entry->low;
	to = high ? &entry->low : &entry->high;
	if (from->ifindex != skb->ifindex || !to->ifindex || !mac_equal(eth->h_source, from->mac) ||
	    !mac_equal(eth->h_dest, from->gateway_mac))
		return 0;
	return to;
}

static __always_inline int fast_deliver(struct __sk_buff *skb, struct ethhdr *eth, const struct ct_end *to)
{
	mac_copy(eth->h_dest, to->mac);
	mac_copy(eth->h_source, to->gateway_mac);
	metric_count(0, DIRECTION_EGRESS, skb->len);
	return bpf_redirect_peer(to->ifindex, 0);
}

static __always_inline int fast_forward4(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	struct iphdr *ip = (void *)(long)skb->data + L3_OFFSET;
	const struct tcphdr *tcp = (void *)(long)skb->data + L4_OFFSET4;
	const struct ct_end *to;

	if ((void *)eth + FAST_HEADERS4 > (void *)(long)skb->data_end)
		return FAST_MISS;
	if (!is_plain4(ip, skb->len) || !is_plain(ip->protocol, tcp, L4_OFFSET4, skb->len))
		return FAST_MISS;
	{
		const struct tuple tuple = {
			.source = addr_from4(ip->saddr),
			.destination = addr_from4(ip->daddr),
			.source_port = tcp->source,
			.destination_port = tcp->dest,
			.protocol = ip->protocol,
		};

		to = fast_receiver(skb, eth, &tuple);
	}
	if (!to)
		return FAST_MISS;
	ttl_lower(ip);
	return fast_deliver(skb, eth, to);
}

static __always_inline int fast_forward6(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	struct ipv6hdr *ip = (void *)(long)skb->data + L3_OFFSET;
	const struct tcphdr *tcp = (void *)(long)skb->data + L4_OFFSET6;
	const struct ct_end *to;

	if ((void *)eth + FAST_HEADERS6 > (void *)(long)skb->data_end)
		return FAST_MISS;
	if (!is_plain6(ip, skb->len) || !is_plain(ip->nexthdr, tcp, L4_OFFSET6, skb->len))
		return FAST_MISS;
	{
		const struct tuple tuple = {
			.source = addr_from6(&ip->saddr),
			.destination = addr_from6(&ip->daddr),
			.source_port = tcp->source,
			.destination_port = tcp->dest,
			.protocol = ip->nexthdr,
		};

		/* the connection of two IPv4 addresses is not for an IPv6 header that has them in it */
		to = addr_is4(&tuple.source) ? 0 : fast_receiver(skb, eth, &tuple);
	}
	if (!to)
		return FAST_MISS;
	ip->hop_limit--;
	return fast_deliver(skb, eth, to);
}

/* Returns the action, or FAST_MISS with nothing done. */
static __always_inline int fast_forward(struct __sk_buff *skb)
{
	if (skb->vlan_present)
		return FAST_MISS;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return fast_forward4(skb);
	return skb->protocol == bpf_htons(ETH_P_IPV6) ? fast_forward6(skb) : FAST_MISS;
}
