/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the datapath tells: one record per verdict on a new connection, per drop and per trace, and counters of everything. */
#pragma once
#include <linux/pkt_cls.h>
#include "context.h"

/* The field's monitor message types and observation points. */
enum event_type { EVENT_DROP = 1, EVENT_TRACE = 4, EVENT_POLICY_VERDICT = 5 };
enum observation_point { TRACE_TO_ENDPOINT = 0, TRACE_TO_HOST = 2, TRACE_TO_STACK = 3, TRACE_TO_NETWORK = 11 };

struct event {
	__u64 time;	/* ns since boot, CLOCK_MONOTONIC */
	__u8 type;	/* enum event_type */
	__u8 reason;	/* drop: enum drop_reason; trace: enum observation_point; verdict: 0 or the drop reason */
	__u8 direction; /* enum policy_direction */
	__u8 match;	/* enum policy_match */
	__u32 ifindex;
	__u32 length; /* of the frame */
	__u32 source_identity;
	__u32 destination_identity;
	__u16 source_endpoint;
	__u16 destination_endpoint;
	__u32 generation;
	__u32 rule;
	struct addr source;
	struct addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 ct_state; /* enum ct_state */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 audit; /* verdict: the reason is told, but the packet passes */
	__u8 unused[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} weir_events SEC(".maps");

struct metric {
	__u64 packets;
	__u64 bytes;
};

#define METRIC_DIRECTIONS 4
#define METRIC_LOST 255 /* events that found the ring full */

/* Index: reason * METRIC_DIRECTIONS + direction; reason 0 counts what was forwarded. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256 * METRIC_DIRECTIONS);
	__type(key, __u32);
	__type(value, struct metric);
} weir_metrics SEC(".maps");

static __always_inline void metric_count(__u8 reason, __u8 direction, __u32 length)
{
	__u32 index = reason * METRIC_DIRECTIONS + (direction & (METRIC_DIRECTIONS - 1));
	struct metric *metric = bpf_map_lookup_elem(&weir_metrics, &index);

	if (!metric)
		return;
	metric->packets++;
	metric->bytes += length;
}

#define EVENT_WORD(type, reason, direction) ((__u32)(type) << 16 | (__u32)(reason) << 8 | (direction))

/* Tells of the packet in hand; `word` is an EVENT_WORD. */
__noinline int event_send(__u32 word)
{
	const struct context *context = context_get();
	const struct packet *packet;
	struct event *event;

	if (!context)
		return 0;
	event = bpf_ringbuf_reserve(&weir_events, sizeof(*event), 0);
	if (!event) {
		metric_count(METRIC_LOST, 0, 0);
		return 0;
	}
	packet = &context->packet;
	event->time = bpf_ktime_get_ns();
	event->type = word >> 16;
	event->reason = word >> 8;
	event->direction = word;
	event->match = context->verdict.match;
	event->ifindex = context->ifindex;
	event->length = context->length;
	event->source_identity = context->source.identity;
	event->destination_identity = context->destination.identity;
	event->source_endpoint = context->source.endpoint;
	event->destination_endpoint = context->destination.endpoint;
	event->generation = context->generation;
	event->rule = context->verdict.rule;
	event->source = packet->source;
	event->destination = packet->destination;
	event->source_port = packet->tuple.source_port;
	event->destination_port = packet->tuple.destination_port;
	event->protocol = packet->protocol;
	event->tcp_flags = packet->tcp_flags;
	event->ct_state = context->ct_state;
	event->icmp_type = packet->icmp_type;
	event->icmp_code = packet->icmp_code;
	event->audit = (word >> 16) == EVENT_POLICY_VERDICT && context->verdict.audit;
	__builtin_memset(event->unused, 0, sizeof(event->unused));
	/* the reader polls: waking it for every record would cost the sender an interrupt */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void trace_forward(const struct context *context, enum observation_point point)
{
	metric_count(0, context->direction, context->length);
	if (context->trace_level >= TRACE_MAX || (context->trace_level == TRACE_MEDIUM && context->changed))
		event_send(EVENT_WORD(EVENT_TRACE, point, context->direction));
}

/* An entry program's way to say no: the reason becomes a counter and an event. */
static __always_inline int drop(struct __sk_buff *skb, enum policy_direction direction, __u32 reason)
{
	const struct context *context = context_get();
	__u32 length = skb->len;

	/* or clang makes one load of both, which older kernels (6.1 is one) refuse */
	barrier();
	if (context)
		length = context->length;
	metric_count(reason, direction, length);
	/* every interface says something to its neighbourhood when it comes up */
	if (reason != DROP_MULTICAST || (context && context->trace_level >= TRACE_MAX))
		event_send(EVENT_WORD(EVENT_DROP, reason, direction));
	return TC_ACT_SHOT;
}
