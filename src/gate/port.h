/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to gate: its listeners, what their sessions share, and its sessions. */
#include "gate/gate.h"
#include "pop3/server.h"
#include "smtp/server.h"

enum gate_verdict { GATE_RELAY, GATE_ALLOW, GATE_DENY };

struct gate_network {
	enum gate_verdict verdict;
	struct network network;
};

struct gate_networks; /* networks.c */

struct gate {
	struct role *role;
	struct caps *caps;
	struct list ports;
	struct list visits;
	uint64_t open; /* connections, those that are being refused apart */
	bool is_stressed;
	bool is_closing;
	struct gate_networks *networks; /* NULL: not known yet */
	struct waitq networks_known;
};

/* What the sessions of one listener share while neither the configuration nor the certificate changes. */
struct generation {
	unsigned references;
	struct config *config;
	const struct config_listener *listener; /* lies in config */
	struct tls_context *tls;                /* NULL: none */
	struct smtp_service smtp;
	struct pop3_service pop3;
};

/* One listening socket. Lives as long as the fiber that accepts from it. */
struct port {
	struct list link;
	struct gate *gate;
	char *name;
	struct listener *listener;
	struct generation *generation; /* of sessions that begin now */
	struct generation *fresh;      /* the next one, between port_prepare and what follows it */
	struct fiber *fiber;
	moment quiet_until; /* of complaints about accept */
};

/* One connection. Lives as long as its fiber. */
struct visit {
	struct list link;
	struct gate *gate;
	struct generation *generation;
	struct conn *conn;
	struct fiber *fiber;
	uint64_t session;
	moment began;
	bool has_entered; /* caps_enter counted it, under `counted` */
	struct addr counted;
};

/* Accept from this listener from now on; owns it. */
[[nodiscard]] enum err port_open(struct gate *gate, struct str name, struct listener *listener);
/*
 * A reload. First all ports prepare for it, without a wait; then all of them
 * take it over (a listener that is no more in it is closed), or, where one could not, all of them leave it.
 */
[[nodiscard]] enum err port_prepare(struct port *port);
void port_renew(struct port *port);
void port_leave(struct port *port);
void port_close(struct port *port);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation **generation);

/* A connection came: refuse it or begin its session. Takes the stream. */
void visit_begin(struct port *port, struct stream *stream);
/* Tell the sessions that wait for a command to go. */
void visits_stop_idle(struct gate *gate);
void gate_count_changed(struct gate *gate);
/* We close and nobody speaks any more: the call that waits for a change is given up. */
void gate_hang_up(struct gate *gate);

/* ---- networks.c ---- */

void gate_networks_fiber(void *gate) WAITS;
/* Until the list is known, or ERR_STOPPED. */
[[nodiscard]] enum err gate_networks_wait(struct gate *gate) WAITS;
/* The one that decides about this address, or NULL. Valid until a wait. */
const struct gate_network *gate_network_of(const struct gate *gate, const struct addr *peer);
bool gate_may_relay(void *gate, const struct addr *peer);
void gate_networks_drop(struct gate *gate);
