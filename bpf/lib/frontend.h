/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Published ports on packets. What is sent to a port of the host goes to the container behind it with the sender's
 * address as it is; the connection remembers the frontend, and answers get it as their source. From here on the packet
 * in the context is the one between sender and container: that is what policy decides on and what events tell.
 */
#pragma once
#include "deliver.h"
#include "service.h"

/* Turns the flow towards the container behind a published port; the frame stays as it is. Returns whether there is one. */
static __always_inline bool frontend_enter(struct context *context)
{
	struct packet *packet = &context->packet;
	struct tuple *tuple = &packet->tuple;
	const struct service *service = service_find(&packet->destination, tuple->destination_port, tuple->protocol);

	if (!service)
		return false;
	context->translated = true;
	context->frontend = packet->destination;
	context->frontend_port = tuple->destination_port;
	packet->destination = tuple->destination = service->address;
	tuple->destination_port = service->port;
	return true;
}

/* Gives the frame the flow's destination in place of the one that it came with. Returns 0 or a drop reason. */
static __always_inline int rewrite_destination(struct __sk_buff *skb, struct context *context,
					       const struct addr *outside, __be16 outside_port)
{
	struct rewrite *rewrite = &context->rewrite;

	rewrite->old_address = *outside;
	rewrite->old_port = outside_port;
	rewrite->new_address = context->packet.destination;
	rewrite->new_port = context->packet.tuple.destination_port;
	rewrite->is_source = false;
	return rewrite_apply(skb);
}

/*
 * A container that asks itself: its kernel would take its own address for forged, so it is asked by the frontend's
 * address, with a masquerade port. Returns 0 or a drop reason.
 */
static __always_inline int frontend_hide_self(struct __sk_buff *skb, struct context *context)
{
	int reason = masquerade(skb, context, &context->frontend);

	return reason ? reason : rewrite_destination(skb, context, &context->frontend, context->frontend_port);
}
