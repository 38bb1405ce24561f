/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* May this packet pass? Conntrack first, and where that does not know, the policies of both sides that live here. */
#pragma once
#include "event.h"

/* Who is behind an address. Never fails: an address nobody claims is the world's. */
static __always_inline void side_resolve(const struct addr *address, struct side *side)
{
	const struct ipcache_entry *entry;
	const struct endpoint *endpoint = bpf_map_lookup_elem(&weir_endpoint, address);

	side->endpoint = endpoint;
	side->flags = 0;
	if (endpoint) {
		side->identity = endpoint->identity;
		side->spaces = endpoint->spaces;
		return;
	}
	entry = ipcache_lookup(address);
	side->identity = entry ? entry->identity : IDENTITY_WORLD;
	side->flags = entry ? entry->flags : 0;
	side->spaces = entry && !identity_is_world(entry->identity) ? entry->spaces : 0;
}

static __always_inline __u16 side_id(const struct side *side)
{
	return side->endpoint ? side->endpoint->id : 0;
}

/* One endpoint's policy on a new connection; tells the verdict. Returns 0 or a drop reason. */
static __noinline int side_decide(struct __sk_buff *skb, struct context *context, __u32 direction, __u32 reversed)
{
	const struct side *asker = reversed ? &context->destination : &context->source;
	const struct side *answerer = reversed ? &context->source : &context->destination;
	const struct tuple *tuple = &context->packet.tuple;
	struct policy_key key = {
		.generation = context->config->generation,
		.direction = direction,
		.protocol = tuple->protocol,
		.port = reversed ? tuple->source_port : tuple->destination_port,
	};
	bool egress = direction == DIRECTION_EGRESS;

	if (tuple->protocol == IPPROTO_ICMP) {
		/* an echo request by its type; whoever answers is covered by the connection */
		key.port = bpf_htons(reversed || context->packet.inner ? ICMP_ECHO : context->packet.icmp_type);
	}
	context->verdict = policy_decide(&key, egress ? asker : answerer, egress ? answerer : asker);
	event_send(skb, context, EVENT_WORD(EVENT_POLICY_VERDICT, context->verdict.reason, direction));
	return context->verdict.reason;
}

/* Decides a flow by both sides' policies, in the direction it was opened. Returns 0 or a drop reason. */
static __always_inline int flow_decide(struct __sk_buff *skb, struct context *context, bool reversed)
{
	const struct side *asker = reversed ? &context->destination : &context->source;
	const struct side *answerer = reversed ? &context->source : &context->destination;
	int reason = 0;

	if (!asker->identity || !answerer->identity)
		return DROP_INVALID_IDENTITY;
	if (asker->endpoint && identity_is_world(answerer->identity) && (asker->endpoint->flags & ENDPOINT_NO_WORLD))
		return DROP_INTERNAL_NETWORK;
	if (asker->endpoint)
		reason = side_decide(skb, context, DIRECTION_EGRESS, reversed);
	if (!reason && answerer->endpoint)
		reason = side_decide(skb, context, DIRECTION_INGRESS, reversed);
	return reason;
}

static __always_inline bool ct_still_holds(const struct ct_entry *entry, const struct context *context, bool reply)
{
	const struct side *asker = reply ? &context->destination : &context->source;
	const struct side *answerer = reply ? &context->source : &context->destination;

	return entry->generation == context->config->generation && entry->source_identity == asker->identity &&
	       entry->destination_identity == answerer->identity && entry->source_endpoint == side_id(asker) &&
	       entry->destination_endpoint == side_id(answerer);
}

/* Writes the entry of a flow just decided; `flags` are those it keeps. Returns 0 or a drop reason. */
static __noinline int ct_admit(const struct ct_key *key, const struct context *context, __u8 flags)
{
	const struct side *asker = &context->source, *answerer = &context->destination;
	bool reversed = context->ct_state == CT_REPLY;
	struct ct_entry entry = {
		.generation = context->config->generation,
		.source_identity = reversed ? answerer->identity : asker->identity,
		.destination_identity = reversed ? asker->identity : answerer->identity,
		.source_endpoint = side_id(reversed ? answerer : asker),
		.destination_endpoint = side_id(reversed ? asker : answerer),
		.nat_port = context->nat_port,
		.flags = flags,
	};

	entry.expires = tick_now() + ct_lifetime(key->protocol, entry.flags);
	return bpf_map_update_elem(&weir_ct, key, &entry, BPF_ANY) < 0 ? DROP_CT_INSERT_FAILED : 0;
}

/*
 * The verdict on the packet in `context`. `answers` says of a packet without an entry that the other side asked: it
 * came in through a masquerade mapping that the container made. Returns 0 or a drop reason.
 */
static __noinline int flow_verdict(struct __sk_buff *skb, struct context *context, bool answers)
{
	const struct packet *packet = &context->packet;
	__u32 now = tick_now();
	struct ct_entry *entry;
	struct ct_key key;
	bool high = ct_key_of(&packet->tuple, &key), reply = answers, live;
	__u8 flags = 0;
	int reason;

	entry = bpf_map_lookup_elem(&weir_ct, &key);
	live = entry && entry->expires >= now;
	if (live) {
		reply = high != !!(entry->flags & CT_HIGH_ASKED);
		if (!packet->inner && ct_is_reopened(entry, packet->tcp_flags, reply)) {
			live = false;
			reply = false;
		}
	}
	if (packet->inner && !live)
		return DROP_POLICY; /* an error may only complain about a connection that is there */
	if (live && ct_still_holds(entry, context, reply)) {
		context->ct_state = packet->inner ? CT_RELATED : reply ? CT_REPLY : CT_ESTABLISHED;
		context->nat_port = entry->nat_port;
		if (!packet->inner)
			context->changed = ct_advance(entry, packet, reply, now);
		return 0;
	}
	context->ct_state = reply ? CT_REPLY : CT_NEW;
	reason = flow_decide(skb, context, reply);
	if (reason)
		return reason;
	context->changed = true;
	if (live)
		flags = entry->flags & ~CT_HIGH_ASKED;
	if (reply)
		flags |= CT_REPLIED;
	if (reply != high)
		flags |= CT_HIGH_ASKED;
	context->nat_port = live ? entry->nat_port : 0;
	return ct_admit(&key, context, flags);
}
