/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Settings of the whole host. `generation` is the word that makes a policy revision visible, all at once. */
#pragma once
#include "addr.h"

enum config_flag {
	CONFIG_AUDIT = 1, /* what policy denies is told, and passes */
};

enum trace_level { TRACE_NONE = 0, TRACE_LOW = 1, TRACE_MEDIUM = 2, TRACE_MAX = 3 };

struct config {
	__u32 generation;  /* of the policy entries that count; 0 = none yet, everything is denied */
	__u32 trace_level; /* enum trace_level */
	__u32 uplink;	   /* ifindex of the default uplink, 0 = none */
	__u16 nat_low;	   /* masquerade ports, both ends included */
	__u16 nat_high;
	__u32 flags; /* enum config_flag */
	__u32 unused;
	__u64 netns; /* cookie of the host's network namespace, 0 = not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} weir_config SEC(".maps");

static __always_inline const struct config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_config, &zero);
}

/* Counts the changes of endpoints and devices. What was remembered about them under another count is forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} weir_epoch SEC(".maps");

static __always_inline const __u32 *epoch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_epoch, &zero);
}
