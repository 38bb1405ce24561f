/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Endpoints of this host, found twice: by the host-side device a packet came from (what may it send?) and by address
 * (where does a packet go?). Both hold the same `struct endpoint`, so the common packet needs one lookup a side.
 */
#pragma once
#include "addr.h"

#define SPACES_MAX 8 /* networks of one container */

enum endpoint_flag {
	ENDPOINT_NO_WORLD = 1, /* all its networks are --internal */
};

struct endpoint {
	__u32 ifindex;	 /* host side of the veth pair */
	__u32 identity;	 /* 0 = not known yet: nothing passes */
	__u32 container; /* same number = same container: its addresses may leave by any of its interfaces */
	__be32 gateway;	 /* the address whose ARP requests are answered */
	__u16 id;
	__u16 flags; /* enum endpoint_flag */
	__u8 mac[6];
	__u8 gateway_mac[6]; /* the host side's own, so that pkt_type is HOST before redirect_peer (kernels < 6.15) */
	__u16 spaces[SPACES_MAX];
};

struct device {
	struct addr ip4;
	struct addr ip6;
	struct endpoint endpoint;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct device);
} weir_device SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct addr);
	__type(value, struct endpoint);
} weir_endpoint SEC(".maps");

/* Two endpoints are of one network if they share a space (zero ends a list). */
static __always_inline bool spaces_shared(const __u16 *a, const __u16 *b)
{
#pragma unroll
	for (int i = 0; i < SPACES_MAX; i++) {
		if (a[i] == 0)
			return false;
#pragma unroll
		for (int j = 0; j < SPACES_MAX; j++)
			if (a[i] == b[j])
				return true;
	}
	return false;
}
