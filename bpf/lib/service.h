/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Published ports: who answers under an address and a port of the host. */
#pragma once
#include "addr.h"

/* Under the host address 0.0.0.0 or :: for every address of the family. */
struct service_key {
	struct addr address;
	__be16 port;
	__u8 protocol;
	__u8 unused[5];
};

struct service {
	struct addr address; /* the container's, as is the port */
	__be16 port;
	__u16 flags;
	__u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct service_key);
	__type(value, struct service);
} weir_service SEC(".maps");

/* What is published under an address that is known to be the host's, or NULL. */
static __always_inline const struct service *service_find(const struct addr *address, __be16 port, __u8 protocol)
{
	struct service_key key = { .address = *address, .port = port, .protocol = protocol };
	const struct service *service = bpf_map_lookup_elem(&weir_service, &key);

	if (service)
		return service;
	/* 0.0.0.0 is mapped, and :: is all zero */
	if (!addr_is4(address))
		key.address.half[0] = key.address.word[2] = 0;
	key.address.word[3] = 0;
	return bpf_map_lookup_elem(&weir_service, &key);
}
