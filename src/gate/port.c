/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: a fiber each that accepts, and what their sessions share. */
#include "gate/port.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACCEPT_FAILED_MS = 100, COMPLAIN_MS = 10'000 };

/* ---- generations ---- */

static enum tls_age tls_age_of(const struct config_listener *listener)
{
	if (str_is(listener->tls_versions, S("old")))
		return TLS_AGE_OLD;
	return str_is(listener->tls_versions, S("1.3")) ? TLS_AGE_NEW : TLS_AGE_CURRENT;
}

static enum err make_tls(struct gate *gate, struct generation *generation)
{
	const struct config_listener *listener = generation->listener;
	const struct role_certificate *certificate = &gate->role->certificate;
	const char *alpn = listener->kind == PROTOCOL_POP3 ? "pop3" : "smtp";
	char detail[FAULT_TEXT_MAX];
	enum err err;

	if (listener->tls_mode == TLS_MODE_NONE || certificate->chain.len == 0)
		return OK;
	err = tls_context_new(certificate->chain, certificate->key, tls_age_of(listener), alpn,
			      &generation->tls);
	if (!err && listener->client_certificates)
		err = tls_context_ask_clients(generation->tls, certificate->client_ca);
	if (!err)
		return OK;
	snprintf(detail, sizeof(detail), "%s", fault_text());
	err = fault(err, "listener %.*s: %s", STR_ARGS(listener->name), detail);
	TRACE(gate->role->trace, 0, 0, trouble, .err = str_of(err_name(err)),
	      .detail = str_of(fault_text()));
	return err;
}

static enum err generation_new(struct gate *gate, const char *name, struct generation **out)
{
	const struct config_listener *listener = config_listener(gate->role->config, str_of(name));
	struct generation *generation;
	enum err err;

	if (!listener)
		return fault(ERR_NOT_FOUND, "no listener %s in the configuration", name);
	if (!gate->role->store || !gate->role->filter)
		return fault(ERR_PROTOCOL, "a listener before the links to store and filter");
	generation = calloc(1, sizeof(*generation));
	must(generation);
	generation->references = 1;
	generation->config = config_ref(gate->role->config);
	generation->listener = listener;
	err = make_tls(gate, generation);
	if (err) {
		generation_unref(&generation);
		return err;
	}
	generation->smtp = (struct smtp_service){
		.config = generation->config,
		.listener = listener,
		.store = gate->role->store,
		.filter = gate->role->filter,
		.tls = generation->tls,
		.trace = gate->role->trace,
		.caps = gate->caps,
		.is_stressed = &gate->is_stressed,
		.may_relay = gate_may_relay,
		.gate = gate,
	};
	generation->pop3 = (struct pop3_service){
		.config = generation->config,
		.listener = listener,
		.store = gate->role->store,
		.tls = generation->tls,
		.trace = gate->role->trace,
		.caps = gate->caps,
		.is_stressed = &gate->is_stressed,
	};
	*out = generation;
	return OK;
}

struct generation *generation_ref(struct generation *generation)
{
	generation->references++;
	return generation;
}

void generation_unref(struct generation **generation)
{
	struct generation *g = *generation;

	*generation = NULL;
	if (!g || --g->references > 0)
		return;
	tls_context_unref(&g->tls);
	config_unref(&g->config);
	free(g);
}

/* ---- ports ---- */

static void port_drop(struct port *port)
{
	list_remove(&port->link);
	listener_drop(&port->listener);
	generation_unref(&port->generation);
	free(port->name);
	free(port);
}

/*
 * Out of descriptors or memory: try again in a moment rather than at once, and say so, but not every
 * time. Who was stopped meanwhile has only lost a listener that was being closed.
 */
static enum err accept_failed(struct port *port, enum err err) WAITS
{
	char detail[FAULT_TEXT_MAX];
	enum err stopped;

	memcpy(detail, fault_text(), strlen(fault_text()) + 1);
	stopped = fiber_sleep(in_ms(ACCEPT_FAILED_MS));
	if (stopped || now() < port->quiet_until)
		return stopped;
	port->quiet_until = in_ms(COMPLAIN_MS);
	TRACE(port->gate->role->trace, 0, 0, trouble, .err = str_of(err_name(err)),
	      .detail = str_of(detail));
	return OK;
}

static void accept_fiber(void *arg) WAITS
{
	struct port *port = arg;
	struct stream *stream;
	enum err err;

	fiber_describe("%s", port->name);
	err = gate_networks_wait(port->gate);
	while (err != ERR_STOPPED && err != ERR_CLOSED) {
		err = listener_accept(port->listener, NEVER, &stream);
		if (!err)
			visit_begin(port, stream);
		else if (err != ERR_STOPPED && err != ERR_CLOSED)
			err = accept_failed(port, err);
	}
	port_drop(port);
}

enum err port_open(struct gate *gate, struct str name, struct listener *listener)
{
	struct port *port = calloc(1, sizeof(*port));
	enum err err;

	must(port);
	port->gate = gate;
	port->listener = listener;
	port->name = strndup(name.at ? name.at : "", name.len);
	must(port->name);
	list_add_last(&gate->ports, &port->link);
	err = generation_new(gate, port->name, &port->generation);
	if (!err)
		err = fiber_spawn(&gate->role->fibers, "accept", accept_fiber, port, &port->fiber);
	if (err)
		port_drop(port);
	return err;
}

void port_close(struct port *port)
{
	fiber_stop(port->fiber);
}

enum err port_prepare(struct port *port)
{
	enum err err = generation_new(port->gate, port->name, &port->fresh);

	return err == ERR_NOT_FOUND ? OK : err;
}

void port_renew(struct port *port)
{
	if (!port->fresh) {
		port_close(port);
		return;
	}
	generation_unref(&port->generation);
	port->generation = port->fresh;
	port->fresh = NULL;
}

void port_leave(struct port *port)
{
	generation_unref(&port->fresh);
}
