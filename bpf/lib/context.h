/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Everything that is known about the packet in hand, in memory of the CPU that works on it. It lives in a map so that
 * what does not touch the packet's bytes can be a global function: the verifier reads those once, not once per way that
 * leads there, and the object loads in milliseconds. Global functions take numbers only; a packet or a pointer would
 * ask for a kernel with BTF, or later than 5.12.
 * Programs of one CPU never interleave: tc runs with bottom halves off, and what a program redirects goes on after it.
 */
#pragma once
#include "config.h"
#include "conntrack.h"
#include "ipcache.h"
#include "policy.h"

/* One end of a flow, read once, so that every decision on a packet is made on the same facts. */
struct side {
	__u32 identity; /* 0 = not known */
	__u16 endpoint; /* its id; 0 = not on this host */
	__u16 flags;	/* enum endpoint_flag */
	__u32 reach;	/* enum ipcache_flag */
	struct ct_end end;
	__u32 unused;
	__u16 spaces[SPACES_MAX] __attribute__((aligned(8)));
};

/* What address translation changes: the sender's end of a packet on its way out, the receiver's on the way back. */
struct rewrite {
	struct addr old_address;
	struct addr new_address;
	__be16 old_port;
	__be16 new_port;
	__u32 is_source;
};

struct context {
	struct packet packet;
	struct side source; /* of the flow in this packet's direction */
	struct side destination;
	struct policy_result verdict; /* of the side that decided last */
	struct rewrite rewrite;
	struct addr frontend; /* with its port: what the flow's destination was before it was translated */
	__u32 ifindex;	      /* of the packet, as is its length */
	__u32 length;
	__u32 generation; /* read once: no packet sees two revisions of the policy */
	__u32 epoch;	  /* read before any endpoint */
	__u32 trace_level;
	__u32 flags;   /* enum config_flag */
	__u32 expires; /* tick, of the connection */
	__u32 action;  /* what the entry program returns; 0 where it refuses, unless the packet has become an answer */
	__be16 nat_port; /* of the connection, 0 = not translated */
	__be16 frontend_port;
	__u8 ct_state;	 /* enum ct_state */
	__u8 ct_flags;	 /* enum ct_flag, of the connection before this packet */
	__u8 reply;	 /* it goes against the direction in which its flow was opened */
	__u8 changed;	 /* it changed its connection's state */
	__u8 audited;	 /* enum ct_flag: the sides that denied it and let it pass */
	__u8 direction;	 /* enum policy_direction: of the program, then of the side that denied */
	__u8 translated; /* it came in by a published port, or is of a connection that did */
	/*
	 * Its container sends to itself. Not a variable: 6.1's verifier may take one that is held over a call for the
	 * constant that it is on the first way, and leave out the other.
	 */
	__u8 itself;
	__u8 borrowed; /* somebody else's, whom the host lent its address */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct context);
} weir_context SEC(".maps");

static __always_inline struct context *context_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_context, &zero);
}

/* The context of a new packet. NULL where the agent has not set up the host. */
static __always_inline struct context *context_begin(struct __sk_buff *skb, enum policy_direction direction)
{
	const struct config *config = config_get();
	struct context *context = context_get();
	const __u32 *epoch = epoch_get();

	if (!context || !config || !epoch)
		return 0;
	__builtin_memset(context, 0, sizeof(*context));
	context->generation = config->generation;
	context->epoch = *epoch;
	context->trace_level = config->trace_level;
	context->flags = config->flags;
	context->direction = direction;
	context->ifindex = skb->ifindex;
	context->length = skb->len;
	return context;
}

static __always_inline void side_of_endpoint(const struct endpoint *endpoint, struct side *side)
{
	/* nobody's number would pass for "not on this host", where no policy asks */
	side->identity = endpoint->id ? endpoint->identity : 0;
	side->endpoint = endpoint->id;
	side->flags = endpoint->flags;
	side->reach = 0;
	side->end.ifindex = endpoint->ifindex;
	mac_copy(side->end.mac, endpoint->mac);
	mac_copy(side->end.gateway_mac, endpoint->gateway_mac);
	__builtin_memcpy(side->spaces, endpoint->spaces, sizeof(side->spaces));
}

static __always_inline void side_of_ipcache(const struct addr *address, struct side *side)
{
	const struct ipcache_entry *entry = ipcache_lookup(address);

	side->endpoint = 0;
	side->flags = 0;
	side->end.ifindex = 0;
	__builtin_memset(side->spaces, 0, sizeof(side->spaces));
	side->identity = entry ? entry->identity : IDENTITY_WORLD;
	side->reach = entry ? entry->flags : 0;
	if (entry && !identity_is_world(entry->identity))
		__builtin_memcpy(side->spaces, entry->spaces, sizeof(side->spaces));
}

/* Who is behind an address: an endpoint of this host, which is returned, or somebody else; nobody's is the world's. */
static __always_inline const struct endpoint *side_resolve(const struct addr *address, struct side *side)
{
	const struct endpoint *endpoint = bpf_map_lookup_elem(&weir_endpoint, address);

	if (endpoint)
		side_of_endpoint(endpoint, side);
	else
		side_of_ipcache(address, side);
	return endpoint;
}
