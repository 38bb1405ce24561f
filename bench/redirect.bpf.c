/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* The least that a datapath by redirection can cost: every packet goes to the one other container. */
#include <linux/bpf.h>

static long (*const bpf_redirect_peer)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect_peer;

__attribute__((section("classifier"), used)) int redirect(struct __sk_buff *packet)
{
	return bpf_redirect_peer(TARGET, 0);
}
