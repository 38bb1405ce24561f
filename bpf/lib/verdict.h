/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* May this packet pass? Conntrack first, and where that does not know, the policies of both sides that live here. */
#pragma once
#include "event.h"

static __always_inline struct side *asker_of(struct context *context)
{
	return context->reply ? &context->destination : &context->source;
}

static __always_inline struct side *answerer_of(struct context *context)
{
	return context->reply ? &context->source : &context->destination;
}

/* What the side's policy denies is told, and passes. */
static __always_inline bool is_audited(const struct context *context, const struct side *side)
{
	return (context->flags & CONFIG_AUDIT) || (side->flags & ENDPOINT_AUDIT);
}

/* The class of peers that `peer` belongs to for `subject`. */
static __always_inline __u32 peer_class(const struct side *subject, const struct side *peer)
{
	if (identity_is_world(peer->identity))
		return IDENTITY_WORLD;
	return spaces_shared(subject->spaces, peer->spaces) ? PEER_NETWORK : PEER_ANY;
}

/* What policy takes for the port of a flow; with ICMP the type that opened it, which was an echo unless it says else. */
static __always_inline __be16 policy_port(const struct tuple *tuple, bool reply)
{
	if (!is_icmp(tuple->protocol))
		return reply ? tuple->source_port : tuple->destination_port;
	if (tuple->message)
		return bpf_htons(tuple->message);
	return bpf_htons(tuple->protocol == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO);
}

/* One side's policy on the flow, in the direction in which it was opened; tells the verdict. Returns 0 or a drop reason. */
__noinline int side_decide(__u32 direction)
{
	struct context *context = context_get();
	const struct side *subject, *peer;
	const struct tuple *tuple;
	struct policy_key key = {};

	if (!context)
		return DROP_NO_CONFIGURATION;
	tuple = &context->packet.tuple;
	subject = direction == DIRECTION_EGRESS ? asker_of(context) : answerer_of(context);
	peer = direction == DIRECTION_EGRESS ? answerer_of(context) : asker_of(context);
	key.generation = context->generation;
	key.subject = subject->identity;
	key.peer = peer->identity;
	key.direction = direction;
	key.protocol = tuple->protocol;
	key.port = policy_port(tuple, context->reply);
	context->verdict = policy_decide(&key, peer_class(subject, peer), context->translated);
	context->verdict.audit = context->verdict.reason && is_audited(context, subject);
	event_send(EVENT_WORD(EVENT_POLICY_VERDICT, context->verdict.reason, direction));
	if (context->verdict.audit) {
		context->audited |= direction == DIRECTION_EGRESS ? CT_AUDIT_SOURCE : CT_AUDIT_DESTINATION;
		return 0;
	}
	if (context->verdict.reason)
		context->direction = direction; /* the drop is told and counted as the decider's */
	return context->verdict.reason;
}

/* All networks of `side` are internal and `other` is outside. */
static __always_inline bool is_internal(const struct side *side, const struct side *other)
{
	return (side->flags & ENDPOINT_NO_WORLD) && identity_is_world(other->identity);
}

/* Decides a flow by both sides' policies, whichever of them sent this packet. Returns 0 or a drop reason. */
static __always_inline int flow_decide(struct context *context)
{
	const struct side *asker = asker_of(context), *answerer = answerer_of(context);
	int reason = 0;

	if (!asker->identity || !answerer->identity)
		return DROP_INVALID_IDENTITY;
	if (is_internal(asker, answerer) || is_internal(answerer, asker))
		return DROP_INTERNAL_NETWORK;
	if (asker->endpoint)
		reason = side_decide(DIRECTION_EGRESS);
	if (!reason && answerer->endpoint)
		reason = side_decide(DIRECTION_INGRESS);
	return reason;
}

/* Notes when and where the connection was found good: where before when, for the fast path of other CPUs. */
static __always_inline void ct_stamp_entry(struct ct_entry *entry, const struct context *context, bool high)
{
	/* no end is known to the fast path where it would have to translate, or to ask whether denials still pass */
	if (!(entry->flags & (CT_SERVICE | CT_AUDITED))) {
		entry->low = high ? context->destination.end : context->source.end;
		entry->high = high ? context->source.end : context->destination.end;
	}
	entry->expires = tick_now() + ct_lifetime(context->packet.tuple.protocol, entry->flags);
	barrier();
	entry->epoch = context->epoch;
	entry->stamp = ct_stamp();
}

/* Decides the flow and, where it may be, writes its entry. Returns 0 or a drop reason. */
__noinline int flow_admit(void)
{
	struct context *context = context_get();
	const struct side *asker, *answerer;
	struct ct_entry entry = {};
	struct ct_key key;
	int reason;
	bool high;

	if (!context)
		return DROP_NO_CONFIGURATION;
	reason = flow_decide(context);
	if (reason)
		return reason;
	high = ct_key_of(&context->packet.tuple, &key);
	asker = asker_of(context);
	answerer = answerer_of(context);
	entry.generation = context->generation;
	entry.source_identity = asker->identity;
	entry.destination_identity = answerer->identity;
	entry.source_endpoint = asker->endpoint;
	entry.destination_endpoint = answerer->endpoint;
	entry.nat_port = context->nat_port;
	entry.frontend = context->frontend;
	entry.frontend_port = context->frontend_port;
	entry.flags =
		ct_flags_after(context->ct_flags & ~(CT_HIGH_ASKED | CT_AUDITED), &context->packet, context->reply);
	entry.flags |= context->audited;
	if (context->translated)
		entry.flags |= CT_SERVICE;
	if (context->reply != high)
		entry.flags |= CT_HIGH_ASKED;
	ct_stamp_entry(&entry, context, high);
	context->expires = entry.expires;
	context->changed = true;
	return bpf_map_update_elem(&weir_ct, &key, &entry, BPF_ANY) < 0 ? DROP_CT_INSERT_FAILED : 0;
}

/* A side that let pass what it denies still does. */
static __always_inline bool ct_is_audited(const struct ct_entry *entry, const struct context *context,
					  const struct side *asker, const struct side *answerer)
{
	return (!(entry->flags & CT_AUDIT_SOURCE) || is_audited(context, asker)) &&
	       (!(entry->flags & CT_AUDIT_DESTINATION) || is_audited(context, answerer));
}

static __always_inline bool ct_still_holds(const struct ct_entry *entry, struct context *context)
{
	const struct side *asker = asker_of(context), *answerer = answerer_of(context);

	return entry->generation == context->generation && entry->source_identity == asker->identity &&
	       entry->destination_identity == answerer->identity && entry->source_endpoint == asker->endpoint &&
	       entry->destination_endpoint == answerer->endpoint && !is_internal(asker, answerer) &&
	       !is_internal(answerer, asker) && ct_is_audited(entry, context, asker, answerer);
}

/* Notes what the packet does to its connection. */
static __always_inline void ct_advance(struct ct_entry *entry, struct context *context, bool fresh, bool high)
{
	__u8 flags = ct_flags_after(entry->flags, &context->packet, context->reply);

	fresh = fresh && entry->epoch == context->epoch;
	if (!context->packet.is_error && (!fresh || flags != entry->flags)) {
		context->changed = flags != entry->flags;
		entry->flags = flags;
		ct_stamp_entry(entry, context, high);
	}
	context->expires = entry->expires;
}

/* Whether the asker calls the answerer by the name that its connection is known by. */
static __always_inline bool ct_is_called(const struct ct_entry *entry, const struct context *context)
{
	if (!(entry->flags & CT_SERVICE))
		return !context->translated;
	return context->translated && entry->frontend_port == context->frontend_port &&
	       addr_equal(&entry->frontend, &context->frontend);
}

/*
 * The verdict on the packet in the context. `answers` says that it came in through a masquerade mapping, so it is an
 * answer to what a container asked or nothing. Returns 0 or a drop reason.
 */
__noinline int flow_verdict(__u32 answers)
{
	struct context *context = context_get();
	bool high, live = false, fresh = false;
	const struct packet *packet;
	struct ct_entry *entry;
	struct ct_key key;

	if (!context)
		return DROP_NO_CONFIGURATION;
	packet = &context->packet;
	high = ct_key_of(&packet->tuple, &key);
	entry = bpf_map_lookup_elem(&weir_ct, &key);
	if (entry) {
		fresh = entry->stamp == ct_stamp();
		live = fresh || entry->expires >= tick_now();
	}
	context->reply = live ? high != (entry->flags & CT_HIGH_ASKED) : answers;
	if (live && !packet->is_error && ct_is_reopened(entry->flags, packet->tcp_flags, context->reply)) {
		live = false;
		context->reply = false;
	}
	if (answers && !context->reply)
		return DROP_NO_CONNECTION;
	if (live && !context->reply && !ct_is_called(entry, context))
		return DROP_PORT_CLASH; /* both would be answered by one name */
	if (live && context->reply && context->translated) {
		/* the entry of the asker was lost, and the answerer's taken for it */
		live = false;
		context->reply = false;
	}
	if (live) {
		context->ct_flags = entry->flags;
		context->nat_port = entry->nat_port;
		if (entry->flags & CT_SERVICE) {
			context->translated = true;
			context->frontend = entry->frontend;
			context->frontend_port = entry->frontend_port;
		}
		if (ct_still_holds(entry, context)) {
			context->ct_state = packet->is_error ? CT_RELATED : context->reply ? CT_REPLY : CT_ESTABLISHED;
			ct_advance(entry, context, fresh, high);
			return 0;
		}
	} else if (packet->is_error || (packet->tuple.answers && !answers)) {
		return DROP_NO_CONNECTION;
	} else if (context->borrowed) {
		return DROP_BORROWED_HOST;
	}
	context->ct_state = packet->is_error ? CT_RELATED : context->reply ? CT_REPLY : CT_NEW;
	return flow_admit();
}
