/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The host's own sockets. Whatever they send to a published port of the host goes to the container right away: the
 * address is changed in the socket, before there is a packet. The control group that the programs are attached to holds
 * every process of the machine, so they look at sockets of the host's own network namespace only.
 */
#pragma once
#include "config.h"
#include "ipcache.h"
#include "packet.h"
#include "service.h"

#define SOCKET_PROCEED 1

/* Which port a socket believes it talks to: answers must seem to come from there. */
struct peer_key {
	__u64 socket; /* its cookie */
	struct addr address;
	__be16 port;
	__u16 unused[3];
};

struct peer {
	struct addr address;
	__be16 port;
	__u16 unused[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct peer_key);
	__type(value, struct peer);
} weir_peer SEC(".maps");

/* How the agent learns the cookie of its network namespace: it connects a socket that it has named here. */
struct socket_probe {
	__u64 socket;
	__u64 netns; /* filled by the program */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket_probe);
} weir_socket_probe SEC(".maps");

static __always_inline void socket_tell(struct bpf_sock_addr *ctx)
{
	__u32 zero = 0;
	struct socket_probe *probe = bpf_map_lookup_elem(&weir_socket_probe, &zero);

	if (probe && probe->socket && probe->socket == bpf_get_socket_cookie(ctx))
		probe->netns = bpf_get_netns_cookie(ctx);
}

static __always_inline bool socket_is_ours(struct bpf_sock_addr *ctx)
{
	const struct config *config = config_get();

	return config && config->netns && config->netns == bpf_get_netns_cookie(ctx);
}

static __always_inline struct addr socket_address6(const struct bpf_sock_addr *ctx)
{
	struct addr address = { .word = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] } };

	return address;
}

static __always_inline void socket_rename6(struct bpf_sock_addr *ctx, const struct addr *address, __be16 port)
{
	ctx->user_ip6[0] = address->word[0];
	ctx->user_ip6[1] = address->word[1];
	ctx->user_ip6[2] = address->word[2];
	ctx->user_ip6[3] = address->word[3];
	ctx->user_port = port;
}

static __always_inline void socket_rename4(struct bpf_sock_addr *ctx, const struct addr *address, __be16 port)
{
	ctx->user_ip4 = address->word[3];
	ctx->user_port = port;
}

/* Every way to say "this machine": loopback, nothing at all, and what its interfaces have. */
static __always_inline bool is_own(const struct addr *address)
{
	if (addr_is4(address)) {
		if (!address->word[3] || *(const __u8 *)&address->word[3] == 127)
			return true;
	} else if (!address->half[0] && !address->word[2] && bpf_ntohl(address->word[3]) <= 1) {
		return true;
	}
	return is_host(address);
}

/* Finds the container behind a port of the host, and notes for the way back what the socket asked for. */
static __always_inline const struct service *socket_translate(struct bpf_sock_addr *ctx, const struct addr *address)
{
	struct peer_key key = { .socket = bpf_get_socket_cookie(ctx) };
	__be16 port = ctx->user_port;
	struct peer peer = { .address = *address, .port = port };
	const struct service *service;

	if (!socket_is_ours(ctx))
		return 0;
	service = service_find(address, port, ctx->protocol);
	if (!service || !is_own(address))
		return 0;
	key.address = service->address;
	key.port = service->port;
	bpf_map_update_elem(&weir_peer, &key, &peer, BPF_ANY);
	return service;
}

/* The port that a socket knows a container as, or NULL. */
static __always_inline const struct peer *socket_peer(struct bpf_sock_addr *ctx, const struct addr *address)
{
	struct peer_key key = { .socket = bpf_get_socket_cookie(ctx), .address = *address };

	key.port = ctx->user_port;
	return socket_is_ours(ctx) ? bpf_map_lookup_elem(&weir_peer, &key) : 0;
}

static __always_inline int socket_send4(struct bpf_sock_addr *ctx)
{
	struct addr address = addr_from4(ctx->user_ip4);
	const struct service *service = socket_translate(ctx, &address);

	if (service)
		socket_rename4(ctx, &service->address, service->port);
	return SOCKET_PROCEED;
}

/* An IPv6 socket speaks to IPv4 under mapped addresses, which are what the maps hold. */
static __always_inline int socket_send6(struct bpf_sock_addr *ctx)
{
	struct addr address = socket_address6(ctx);
	const struct service *service = socket_translate(ctx, &address);

	if (service)
		socket_rename6(ctx, &service->address, service->port);
	return SOCKET_PROCEED;
}

static __always_inline int socket_name4(struct bpf_sock_addr *ctx)
{
	struct addr address = addr_from4(ctx->user_ip4);
	const struct peer *peer = socket_peer(ctx, &address);

	if (peer)
		socket_rename4(ctx, &peer->address, peer->port);
	return SOCKET_PROCEED;
}

static __always_inline int socket_name6(struct bpf_sock_addr *ctx)
{
	struct addr address = socket_address6(ctx);
	const struct peer *peer = socket_peer(ctx, &address);

	if (peer)
		socket_rename6(ctx, &peer->address, peer->port);
	return SOCKET_PROCEED;
}
