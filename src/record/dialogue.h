/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dialogue: what a session has said so far, as far as a refusal in Postfix's form tells it. Kept only where the log has
 * that form, and from the first command to the end. Private to record/.
 */
#include "record/sessions.h"

struct dialogue {
	char verb[16];       /* of the newest command; "" for one that is not known */
	bool is_answered;    /* the newest command is */
	struct str greeting; /* its verb: EHLO, HELO or LHLO */
	struct str helo, sender, recipient;
};

/* Takes note of a session's event; makes session->dialogue and drops it. */
void dialogue_note(struct session *session, const struct trace_event *event);
void dialogue_drop(struct dialogue **dialogue);
