/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Policy: who may talk to whom, resolved to (generation, subject, peer, direction, protocol, port) -> verdict.
 *
 * One trie for the whole host. A revision of the policy is written beside the one in force under a generation number
 * of its own; the host's config then names that generation, so every packet sees one revision or the other and never
 * half of one. Protocol and port come last because only they can be wildcards: the trie finds the longest match.
 *
 * A connection is looked up three times: by the peer's identity, by the peer's class (NETWORK: shares a network with
 * the subject; WORLD: a CIDR identity) and by anyone. A deny in any of them wins, then an allow, then the default:
 * nothing matched, denied.
 */
#pragma once
#include "addr.h"
#include "drop.h"

#define PEER_ANY 0
#define PEER_NETWORK 0xffffffff
#define POLICY_PREFIX_FULL 128 /* bits of struct policy_key after prefix_length */

enum policy_direction { DIRECTION_INGRESS = 1, DIRECTION_EGRESS = 2 };
enum policy_verdict {
	VERDICT_ALLOW = 1,
	VERDICT_DENY = 2,
	VERDICT_PUBLISHED = 3, /* allows what came in by a published port; for everything else it is not there */
};
enum policy_scope { SCOPE_ANY = 0, SCOPE_PROTOCOL = 1, SCOPE_PORT = 2 };
enum policy_match {
	MATCH_NONE = 0,
	MATCH_L3 = 1,
	MATCH_L3_L4 = 2,
	MATCH_L4 = 3,
	MATCH_ALL = 4,
	MATCH_L3_PROTO = 5,
	MATCH_PROTO = 6,
};

struct policy_key {
	__u32 prefix_length;
	__u32 generation;
	__u32 subject;
	__u32 peer;	/* identity, PEER_ANY, PEER_NETWORK or IDENTITY_WORLD as a class */
	__u8 direction; /* enum policy_direction */
	__u8 protocol;	/* IANA number */
	__be16 port;	/* destination port; the type of an ICMP message */
};

struct policy_entry {
	__u8 verdict; /* enum policy_verdict */
	__u8 scope;   /* enum policy_scope: how much of protocol and port the entry names */
	__be16 proxy_port;
	__u32 rule; /* 1-based number of the rule in the revision, 0 = default isolation */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct policy_key);
	__type(value, struct policy_entry);
} weir_policy SEC(".maps");

struct policy_result {
	__u32 rule;
	__u8 reason; /* 0 = allowed */
	__u8 match;  /* enum policy_match */
	__u8 audit;  /* the reason is told, and does not count */
};

static __always_inline __u8 policy_match_of(const struct policy_entry *entry, __u32 peer)
{
	if (peer == PEER_ANY)
		return entry->scope == SCOPE_PORT ? MATCH_L4 : entry->scope == SCOPE_PROTOCOL ? MATCH_PROTO : MATCH_ALL;
	return entry->scope == SCOPE_PORT ? MATCH_L3_L4 : entry->scope == SCOPE_PROTOCOL ? MATCH_L3_PROTO : MATCH_L3;
}

/* Folds one lookup into the result; an earlier deny stays, an earlier allow stays unless this is a deny. */
static __always_inline void policy_consider(const struct policy_key *key, bool translated, struct policy_result *result)
{
	const struct policy_entry *entry = bpf_map_lookup_elem(&weir_policy, key);
	bool deny;

	if (!entry || result->reason == DROP_POLICY_DENY)
		return;
	if (entry->verdict == VERDICT_PUBLISHED && !translated)
		return;
	deny = entry->verdict != VERDICT_ALLOW && entry->verdict != VERDICT_PUBLISHED;
	if (result->reason == 0 && !deny)
		return;
	result->reason = deny ? DROP_POLICY_DENY : 0;
	result->rule = entry->rule;
	result->match = policy_match_of(entry, key->peer);
}

/* The verdict of one side's policy on a new connection. Nothing found: DROP_POLICY. */
static __always_inline struct policy_result policy_decide(struct policy_key *key, __u32 class, bool translated)
{
	struct policy_result result = { .reason = DROP_POLICY };

	key->prefix_length = POLICY_PREFIX_FULL;
	policy_consider(key, translated, &result);
	if (class != PEER_ANY && class != key->peer) {
		key->peer = class;
		policy_consider(key, translated, &result);
	}
	key->peer = PEER_ANY;
	policy_consider(key, translated, &result);
	return result;
}
