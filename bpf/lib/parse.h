/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Reads a frame into the context, whatever its family. */
#pragma once
#include "parse4.h"
#include "parse6.h"

/* Returns 0 or a drop reason; the context is filled as far as the frame could be read. */
static __always_inline int parse(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse4(skb);
	return skb->protocol == bpf_htons(ETH_P_IPV6) ? parse6(skb) : DROP_UNSUPPORTED_L3;
}
