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
	ENDPOINT_AUDIT = 2,    /* what its policy denies is told, and passes */
};

struct endpoint {
	__u32 ifindex;	 /* host side of the veth pair */
	__u32 identity;	 /* 0 = not known yet: nothing passes */
	__u32 container; /* same number = same container: its addresses may leave by any of its interfaces */
	__u16 id;
	__u16 flags; /* enum endpoint_flag */
	__u8 mac[6];
	__u8 gateway_mac[6]; /* the host side's own, so that pkt_type is HOST before redirect_peer (kernels < 6.15) */
	__u32 unused;
	__u16 spaces[SPACES_MAX] __attribute__((aligned(8)));
};

struct device {
	struct addr ip4; /* 0.0.0.0 or ::, here as below: none */
	struct addr ip6;
	struct addr gateway4; /* the addresses whose MAC is the host side's own */
	struct addr gateway6;
	struct endpoint endpoint;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct device);
} weir_device SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct addr);
	__type(value, struct endpoint);
} weir_endpoint SEC(".maps");

/*
 * The endpoint that owns an address, if it is of the device's container: any address of a container may leave and enter
 * by any of its interfaces. NULL for everyone else's.
 */
static __always_inline const struct endpoint *device_owner(const struct device *device, const struct addr *address)
{
	const struct endpoint *owner;

	/* what stands for the address that a device does not have */
	if (addr_is_none(address))
		return 0;
	if (addr_equal(address, &device->ip4) || addr_equal(address, &device->ip6))
		return &device->endpoint;
	owner = bpf_map_lookup_elem(&weir_endpoint, address);
	return owner && owner->container && owner->container == device->endpoint.container ? owner : 0;
}

/* Four spaces in a word, and the top bit of each sixteen: whether any of the four equals `space`. */
static __always_inline bool lanes_have(__u64 lanes, __u16 space)
{
	__u64 difference = lanes ^ space * 0x0001000100010001ull;

	return (difference - 0x0001000100010001ull) & ~difference & 0x8000800080008000ull;
}

/* Two endpoints are of one network if they share a space (zero ends a list). */
static __always_inline bool spaces_shared(const __u16 *a, const __u16 *b)
{
	const __u64 *lanes = (const __u64 *)b;

#pragma unroll
	for (int i = 0; i < SPACES_MAX && a[i]; i++)
		if (lanes_have(lanes[0], a[i]) || lanes_have(lanes[1], a[i]))
			return true;
	return false;
}
