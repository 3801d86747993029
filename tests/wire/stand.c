/* SPDX-License-Identifier: Apache-2.0 */
#include "stand.h"

#include "filter/filter.h"
#include "gate/gate.h"
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, CONTROL_MS = 60000, CONTROL_PORT = 1, STOP_MS = 5000 };

static const struct {
	const char *name;
	const char *protocol;
	const char *tls;
	unsigned port;
} listeners[] = {
	{ "mx", "smtp", "starttls", 25 },
	{ "submission", "submission", "starttls", 587 },
	{ "submissions", "submission", "implicit", 465 },
	{ "lmtp", "lmtp", "starttls", 24 },
	{ "pop3", "pop3", "starttls", 110 },
	{ "pop3s", "pop3", "implicit", 995 },
};

/*
 * What holds unless a script says otherwise: passwords in the clear, for these are tests on loopback,
 * and no counting of errors, so that a script may make many.
 */
static const struct {
	const char *listener;
	const char *name;
	const char *value;
} presets[] = {
	{ "", "hostname", "mail.example" },
	{ "", "connections_exempt", "\"0.0.0.0/0, ::/0\"" },
	{ "", "sandbox", "try" },
	{ "submission", "auth_without_tls", "yes" },
	{ "pop3", "auth_without_tls", "yes" },
};

static bool has_setting(const struct script *script, const char *listener, const char *name)
{
	for (size_t i = 0; i < script->setting_count; i++)
		if (str_is(script->settings[i].listener, str_of(listener)) &&
		    str_is(script->settings[i].name, str_of(name)))
			return true;
	return false;
}

static void add_settings(const struct script *script, const char *listener, struct buf *out)
{
	for (size_t i = 0; i < COUNT_OF(presets); i++)
		if (strcmp(presets[i].listener, listener) == 0 &&
		    !has_setting(script, listener, presets[i].name))
			buf_print(out, "%s = %s\n", presets[i].name, presets[i].value);
	for (size_t i = 0; i < script->setting_count; i++)
		if (str_is(script->settings[i].listener, str_of(listener)))
			buf_print(out, "%.*s = %.*s\n", STR_ARGS(script->settings[i].name),
				  STR_ARGS(script->settings[i].value));
}

void stand_config(const struct script *script, struct buf *out)
{
	add_settings(script, "", out);
	for (size_t i = 0; i < COUNT_OF(listeners); i++) {
		buf_print(out, "listener \"%s\" {\nprotocol = %s\n", listeners[i].name,
			  listeners[i].protocol);
		if (!has_setting(script, listeners[i].name, "tls"))
			buf_print(out, "tls = %s\n", listeners[i].tls);
		buf_add(out, S("address = \"127.0.0.1\"\n"));
		add_settings(script, listeners[i].name, out);
		buf_add(out, S("}\n"));
	}
}

bool stand_is_implicit(struct str listener)
{
	for (size_t i = 0; i < COUNT_OF(listeners); i++)
		if (str_is(listener, str_of(listeners[i].name)))
			return strcmp(listeners[i].tls, "implicit") == 0;
	return false;
}

/* ---- control ---- */

static void serve_control(void *arg) WAITS
{
	struct stand *stand = arg;
	struct role *store = house_role(stand->house, ROLE_STORE);

	(void)!control_serve(stand->control, store->ops->commands, store, &stand->control_group);
}

static enum err begin_control(struct stand *stand)
{
	struct addr at;
	enum err err;

	must(addr_parse(S("127.0.0.1:1"), &at));
	group_init(&stand->control_group);
	err = listener_new(&at, 16, &stand->control);
	return err ? err
		   : fiber_spawn(&stand->control_group, "control", serve_control, stand, NULL);
}

enum err stand_control(struct stand *stand, struct str request) WAITS
{
	struct stream *stream;
	struct conn *conn;
	struct str line;
	enum err err = stream_connect(listener_address(stand->control), in_ms(CONNECT_MS), &stream);

	if (err)
		return err;
	conn = conn_new(stream);
	err = conn_write(conn, request, in_ms(CONTROL_MS));
	if (!err)
		err = conn_write(conn, S("\n"), in_ms(CONTROL_MS));
	do {
		if (!err)
			err = conn_read_line(conn, LIMIT_control_line - 1, LINE_LF_TOO,
					     in_ms(CONTROL_MS), &line);
	} while (!err && str_find_str(line, S("\"ok\"")) == STR_NONE);
	if (!err && str_find_str(line, S("\"ok\":true")) == STR_NONE &&
	    str_find_str(line, S("\"ok\": true")) == STR_NONE)
		err = fault(ERR_DENIED, "%.*s: %.*s", STR_ARGS(request), STR_ARGS(line));
	conn_drop(&conn);
	return err;
}

static enum err control_with(struct stand *stand, const char *command, const char *names[2],
			     const struct str *values) WAITS
{
	OWNED(buf) struct buf request = BUF(WIRE_LINE);

	buf_print(&request, "{\"command\":\"%s\",\"arguments\":{", command);
	for (size_t i = 0; i < 2 && names[i]; i++) {
		buf_print(&request, "%s\"%s\":", i ? "," : "", names[i]);
		json_add_string(&request, values[i]);
	}
	buf_add(&request, S("}}"));
	return stand_control(stand, buf_str(&request));
}

static enum err add_domain(struct stand *stand, struct str address) WAITS
{
	struct str domain = str_from(address, str_find_last(address, '@') + 1);
	enum err err =
		control_with(stand, "domain add", (const char *[2]){ "domain", NULL }, &domain);

	/* Two accounts of one domain: it is there already. */
	return err == ERR_DENIED ? OK : err;
}

static enum err add_accounts(struct stand *stand) WAITS
{
	const struct script *script = stand->script;
	enum err err = OK;

	for (size_t i = 0; i < script->account_count && !err; i++) {
		const struct account *account = &script->accounts[i];

		err = add_domain(stand, account->address);
		if (!err)
			err = control_with(stand, "account add",
					   (const char *[2]){ "address", "password" },
					   (struct str[2]){ account->address, account->password });
	}
	for (size_t i = 0; i < script->alias_count && !err; i++) {
		OWNED(buf) struct buf request = BUF(WIRE_LINE);

		err = add_domain(stand, script->aliases[i].address);
		buf_add(&request, S("{\"command\":\"alias add\",\"arguments\":{\"address\":"));
		json_add_string(&request, script->aliases[i].address);
		buf_add(&request, S(",\"targets\":["));
		json_add_string(&request, script->aliases[i].password);
		buf_add(&request, S("]}}"));
		if (!err)
			err = stand_control(stand, buf_str(&request));
	}
	return err;
}

/* ---- the house ---- */

static enum err make_folder(struct stand *stand)
{
	const char *tmp = getenv("TMPDIR");
	char path[200];

	snprintf(path, sizeof(path), "%s/glasspost-wire-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		return fault_errno("make a folder in %s", tmp ? tmp : "/tmp");
	stand->folder = BUF(sizeof(path));
	return buf_add_c(&stand->folder, path);
}

enum err stand_begin_sim(struct stand *stand) WAITS
{
	static const struct role_ops *const roles[] = { &store_role, &filter_role, &gate_mx_role,
							&gate_user_role, NULL };
	OWNED(buf) struct buf text = BUF(WIRE_LINE);
	OWNED(buf) struct buf complaints = BUF(WIRE_LINE);
	struct house_options options = { .roles = roles, .config_name = S("wire.conf") };
	enum err err = make_folder(stand);

	if (err)
		return err;
	stand_config(stand->script, &text);
	options.config = buf_str(&text);
	options.folder = buf_str(&stand->folder);
	err = house_start(&options, &complaints, &stand->house);
	if (err)
		return fault(err, "%s %.*s", err_text(err), STR_ARGS(buf_str(&complaints)));
	err = begin_control(stand);
	return err ? err : add_accounts(stand);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void stand_end(struct stand *stand) WAITS
{
	if (stand->control) {
		group_stop(&stand->control_group);
		(void)group_wait(&stand->control_group, in_ms(STOP_MS));
		listener_drop(&stand->control);
	}
	house_stop(&stand->house, STOP_MS);
	if (stand->folder.len > 0) {
		buf_add_char(&stand->folder, '\0');
		nftw(stand->folder.at, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	buf_drop(&stand->folder);
}

/* ---- connecting ---- */

static enum err address_of(const struct stand *stand, struct str listener, struct addr *out)
{
	OWNED(arena) struct arena arena = { 0 };

	if (stand->house)
		return house_address(stand->house, listener, 0, out)
			       ? OK
			       : fault(ERR_NOT_FOUND, "no listener %.*s", STR_ARGS(listener));
	for (size_t i = 0; i < COUNT_OF(listeners); i++)
		if (str_is(listener, str_of(listeners[i].name)) &&
		    addr_parse(str_print(&arena, "%.*s:%u", STR_ARGS(stand->host),
					 stand->port_base + listeners[i].port),
			       out))
			return OK;
	return fault(ERR_NOT_FOUND, "no listener %.*s", STR_ARGS(listener));
}

enum err stand_connect(struct stand *stand, struct str listener, struct conn **conn,
		       struct stream **stream) WAITS
{
	struct addr at;
	enum err err = address_of(stand, listener, &at);

	if (!err)
		err = stream_connect(&at, in_ms(CONNECT_MS), stream);
	if (err)
		return err;
	*conn = conn_new(*stream);
	if (stand_is_implicit(listener))
		err = conn_start_tls_client(*conn, stand->tls, S("mail.example"),
					    in_ms(CONNECT_MS));
	if (err)
		conn_drop(conn);
	return err;
}
