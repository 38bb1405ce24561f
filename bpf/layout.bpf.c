/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Never loaded: names every type that user space shares, so that the compiler writes it into BTF (see scripts/generate-layout). */
#include "lib/arp.h"
#include "lib/fast.h"
#include "lib/parse.h"
#include "lib/socket.h"

#define EXPORT(kind, name) const kind name *weir_export_##name __attribute__((used))

EXPORT(struct, config);
EXPORT(struct, endpoint);
EXPORT(struct, device);
EXPORT(struct, ipcache_key);
EXPORT(struct, ipcache_entry);
EXPORT(struct, policy_key);
EXPORT(struct, policy_entry);
EXPORT(struct, ct_key);
EXPORT(struct, ct_end);
EXPORT(struct, ct_entry);
EXPORT(struct, nat_key);
EXPORT(struct, nat_entry);
EXPORT(struct, fragment_key);
EXPORT(struct, fragment_entry);
EXPORT(struct, uplink);
EXPORT(struct, service_key);
EXPORT(struct, service);
EXPORT(struct, socket_probe);
EXPORT(struct, event);
EXPORT(struct, metric);
EXPORT(enum, drop_reason);
EXPORT(enum, config_flag);
EXPORT(enum, trace_level);
EXPORT(enum, endpoint_flag);
EXPORT(enum, ipcache_flag);
EXPORT(enum, policy_direction);
EXPORT(enum, policy_verdict);
EXPORT(enum, policy_scope);
EXPORT(enum, policy_match);
EXPORT(enum, ct_state);
EXPORT(enum, ct_flag);
EXPORT(enum, event_type);
EXPORT(enum, observation_point);
