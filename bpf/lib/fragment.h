/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Only the first fragment of a datagram has ports: it leaves them here for the others. A fragment that comes before it is refused. */
#pragma once
#include "context.h"

/* RFC 8200 section 4.5. */
struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

#define IP6_MORE_FRAGMENTS 0x1
#define IP6_FRAGMENT_OFFSET 0xfff8

/* RFC 791's four fields. IPv6 has no protocol here, but neither has an honest sender reason to change it midway. */
struct fragment_key {
	struct addr source;
	struct addr destination;
	__be32 id; /* IPv4: 16 bits */
	__u8 protocol;
	__u8 unused[3];
};

struct fragment_entry {
	__be16 source_port;
	__be16 destination_port;
	__u8 answers;
	__u8 message;
	__u8 unused[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, struct fragment_entry);
} weir_fragment SEC(".maps");

static __always_inline struct fragment_key fragment_key_of(const struct packet *packet)
{
	struct fragment_key key = { .source = packet->source,
				    .destination = packet->destination,
				    .id = packet->id,
				    .protocol = packet->protocol };

	return key;
}

/*
 * To be called for an admitted packet only, else anyone could speak for its ports; with the destination as it was in the
 * packet when it came.
 */
static __always_inline void fragment_remember(const struct packet *packet, const struct addr *destination,
					      __be16 destination_port)
{
	struct fragment_entry entry = {
		.source_port = packet->tuple.source_port,
		.destination_port = destination_port,
		.answers = packet->tuple.answers,
		.message = packet->tuple.message,
	};
	struct fragment_key key;

	if (packet->fragment != FRAGMENT_FIRST)
		return;
	key = fragment_key_of(packet);
	key.destination = *destination;
	bpf_map_update_elem(&weir_fragment, &key, &entry, BPF_ANY);
}

/* Returns 0 or a drop reason. */
static __always_inline int fragment_recall(struct packet *packet, __u32 offset)
{
	struct fragment_key key = fragment_key_of(packet);
	const struct fragment_entry *entry;

	packet->fragment = FRAGMENT_LATER;
	/* nobody may write over the header that was judged (RFC 3128) */
	if (packet->protocol == IPPROTO_TCP && offset < sizeof(struct tcphdr))
		return DROP_INVALID;
	entry = bpf_map_lookup_elem(&weir_fragment, &key);
	if (!entry)
		return DROP_FRAGMENT_NOT_FOUND;
	packet->tuple.source_port = entry->source_port;
	packet->tuple.destination_port = entry->destination_port;
	packet->tuple.answers = entry->answers;
	packet->tuple.message = entry->message;
	return 0;
}
