/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Addresses of both families in one shape: 16 bytes, IPv4 mapped into ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
#pragma once
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct addr {
	union {
		__be32 word[4];
		__u64 half[2];
	};
};

#define MAPPED_PREFIX bpf_htonl(0xffff)

static __always_inline struct addr addr_from4(__be32 ip)
{
	struct addr a = { .word = { 0, 0, MAPPED_PREFIX, ip } };

	return a;
}

/* From the header of a packet, where addresses lie on even words: two reads instead of four. */
static __always_inline struct addr addr_from6(const void *ip)
{
	const __u64 *half = ip;
	struct addr a = { .half = { half[0], half[1] } };

	return a;
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

static __always_inline bool addr_is4(const struct addr *a)
{
	return a->half[0] == 0 && a->word[2] == MAPPED_PREFIX;
}

/* 0.0.0.0 or ::, which stand for an address that is not there. */
static __always_inline bool addr_is_none(const struct addr *a)
{
	return !a->half[0] && !a->word[3] && (!a->word[2] || a->word[2] == MAPPED_PREFIX);
}

static __always_inline bool addr_is_multicast6(const struct addr *a)
{
	return *(const __u8 *)a == 0xff;
}

static __always_inline bool addr_is_link_local6(const struct addr *a)
{
	return (a->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* fe80::1 */
static __always_inline bool addr_is_usual_gateway(const struct addr *a)
{
	return a->word[0] == bpf_htonl(0xfe800000) && !a->word[1] && !a->word[2] && a->word[3] == bpf_htonl(1);
}

/* Any total order will do, as long as both directions of a flow agree on it. */
static __always_inline bool addr_less(const struct addr *a, const struct addr *b)
{
	return a->half[0] != b->half[0] ? a->half[0] < b->half[0] : a->half[1] < b->half[1];
}

/* MAC addresses lie on even offsets everywhere; clang would go byte by byte. */
static __always_inline bool mac_equal(const __u8 *left, const __u8 *right)
{
	const __u16 *a = (const __u16 *)left, *b = (const __u16 *)right;

	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]));
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__u16 *a = (__u16 *)to;
	const __u16 *b = (const __u16 *)from;

	a[0] = b[0];
	a[1] = b[1];
	a[2] = b[2];
}
