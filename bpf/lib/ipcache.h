/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Who is behind an address that is no endpoint of this host: the host itself, another node's endpoint, a CIDR of the policy, the world. */
#pragma once
#include "addr.h"
#include "endpoint.h"

enum identity {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_INIT = 5,
};
#define IDENTITY_LOCAL_SCOPE 0x1000000 /* numbers from here up stand for CIDRs */

enum ipcache_flag {
	IPCACHE_UNROUTABLE = 1, /* inside the cluster, yet nobody's */
	IPCACHE_NATIVE = 2,	/* reached without masquerading */
};

/* The prefix comes first because the trie wants it there; 96 + n for an IPv4 prefix of n bits. */
struct ipcache_key {
	__u32 prefix_length;
	struct addr address;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct ipcache_key) == 20, "the trie compares every bit behind prefix_length, padding too");

struct ipcache_entry {
	__u32 identity;
	__u32 flags; /* enum ipcache_flag */
	struct addr tunnel;
	__u16 spaces[SPACES_MAX] __attribute__((aligned(8)));
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct ipcache_key);
	__type(value, struct ipcache_entry);
} weir_ipcache SEC(".maps");

static __always_inline const struct ipcache_entry *ipcache_lookup(const struct addr *address)
{
	struct ipcache_key key = { .prefix_length = 128, .address = *address };

	return bpf_map_lookup_elem(&weir_ipcache, &key);
}

/* Whether an address is one of the host's own. */
static __always_inline bool is_host(const struct addr *address)
{
	const struct ipcache_entry *entry = ipcache_lookup(address);

	return entry && entry->identity == IDENTITY_HOST;
}

static __always_inline bool identity_is_world(__u32 identity)
{
	return identity == IDENTITY_WORLD || (identity & IDENTITY_LOCAL_SCOPE);
}
