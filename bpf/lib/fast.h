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
#define FAST_HEADERS (L4_OFFSET + sizeof(struct tcphdr))

/* Nothing in these headers asks for a decision. */
static __always_inline bool is_plain(const struct iphdr *ip, const struct tcphdr *tcp, __u32 length)
{
	if (*(const __u8 *)ip != 0x45 || ip->ttl <= 1 ||
	    (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET)))
		return false;
	if (bpf_ntohs(ip->tot_len) + L3_OFFSET != length)
		return false;
	if (ip->protocol != IPPROTO_TCP)
		return ip->protocol == IPPROTO_UDP;
	return tcp->doff >= 5 && L4_OFFSET + tcp->doff * 4 <= length &&
	       (((const __u8 *)tcp)[13] &
		(TCP_FLAG_FIN_BIT | TCP_FLAG_SYN_BIT | TCP_FLAG_RST_BIT | TCP_FLAG_ACK_BIT)) == TCP_FLAG_ACK_BIT;
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

/* Returns the action, or FAST_MISS with nothing done. */
static __always_inline int fast_forward(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	struct iphdr *ip = (void *)(long)skb->data + L3_OFFSET;
	const struct tcphdr *tcp = (void *)(long)skb->data + L4_OFFSET;
	const struct ct_end *from, *to;
	const struct ct_entry *entry;
	struct ct_key key;
	bool high;

	if ((void *)eth + FAST_HEADERS > (void *)(long)skb->data_end)
		return FAST_MISS;
	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present || !is_plain(ip, tcp, skb->len))
		return FAST_MISS;
	{
		struct tuple tuple = {
			.source = addr_from4(ip->saddr),
			.destination = addr_from4(ip->daddr),
			.source_port = tcp->source,
			.destination_port = tcp->dest,
			.protocol = ip->protocol,
		};

		high = ct_key_of(&tuple, &key);
	}
	entry = bpf_map_lookup_elem(&weir_ct, &key);
	if (!entry || !is_current(entry, high))
		return FAST_MISS;
	from = high ? &entry->high : &entry->low;
	to = high ? &entry->low : &entry->high;
	if (from->ifindex != skb->ifindex || !to->ifindex || !mac_equal(eth->h_source, from->mac) ||
	    !mac_equal(eth->h_dest, from->gateway_mac))
		return FAST_MISS;
	ttl_lower(ip);
	mac_copy(eth->h_dest, to->mac);
	mac_copy(eth->h_source, to->gateway_mac);
	metric_count(0, DIRECTION_EGRESS, skb->len);
	return bpf_redirect_peer(to->ifindex, 0);
}
