/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

bool pop3_may_start_tls(const struct pop3_session *session)
{
	const struct pop3_service *service = session->service;

	return service->tls && service->listener->tls_mode == TLS_MODE_STARTTLS &&
	       !listener_without(service->listener, "STLS") && !conn_is_tls(session->conn);
}

enum err pop3_handshake(struct pop3_session *session, bool implicit) WAITS
{
	const struct pop3_service *service = session->service;
	size_t discarded = 0;
	enum err err =
		conn_start_tls(session->conn, service->tls, in_ms(LIMIT_tls_handshake), &discarded);
	const struct tls_info *tls = conn_tls(session->conn);

	if (discarded > 0)
		TRACE(service->trace, session->id, 0, policy, .rule = S("stls-injection"),
		      .verdict = S("refuse"),
		      .detail = str_print(&session->arena,
					  "%zu octets sent in the clear behind STLS thrown away",
					  discarded),
		      .source = S("rfc2595 4"));
	if (err || !tls->version) {
		TRACE(service->trace, session->id, 0, tls, .implicit = implicit,
		      .failure = str_of(conn_tls_failure(err ? err : ERR_TLS)));
		return err ? err : ERR_TLS;
	}
	TRACE(service->trace, session->id, TRACE_ENCRYPTED, tls, .version = str_of(tls->version),
	      .cipher = str_of(tls->cipher), .group = str_of(tls->group),
	      .server_name = str_of(tls->server_name), .resumed = tls->resumed,
	      .implicit = implicit, .us = (uint64_t)tls->us);
	return OK;
}

enum err pop3_stls(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	enum err err;

	(void)command;
	if (conn_is_tls(session->conn))
		return pop3_answer(session, POP3_REPLY_HAS_TLS);
	if (!pop3_may_start_tls(session))
		return pop3_answer(session, POP3_REPLY_NO_TLS);
	err = pop3_answer(session, POP3_REPLY_BEGIN_TLS);
	if (err)
		return err;
	/* rfc2595 4: what was said in the clear is forgotten. */
	buf_reset(&session->user);
	buf_reset(&session->folder);
	return pop3_handshake(session, false);
}
