/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A dialogue with an SMTP session, and the store and the filter that answer from memory behind it. */
#include "mail/mail.h"
#include "smtp/server.h"
#include "stage/stage.h"

struct kept {
	struct str sender;
	struct str recipients; /* joined by commas */
	struct str body;       /* with our Received line */
	bool is_utf8;
	uint64_t id;
};

/* Accounts alice, bob, late and postmaster at here.example; full, off and loop are refused. */
struct house {
	struct arena arena;
	struct kept kept[256];
	size_t count;
	size_t inspected;
	size_t signed_in;
	size_t exchanges;   /* under way */
	size_t asked_about; /* recipient calls */
	size_t list_count;  /* every address of ours is a list of so many, with long names */
	bool is_full;       /* room says no */
	uint64_t verdict;   /* of the filter */
	const char *verdict_text;
	enum err deliver_err, inspect_err, recipient_err, sasl_err, step_err;
	int64_t deliver_ms; /* the commit takes so long */
	uint64_t delay_ms;  /* after a failed sign-in */
};
extern const struct link_handlers house_store;
extern const struct link_handlers house_filter;

struct stage {
	DIALOGUE;
	struct house house;
};

void stage_play(struct stage *stage);
void stage_done(struct stage *stage);
/* A kept message without our Received line. */
struct str kept_text(const struct kept *kept);
bool stage_saw(const struct stage *stage, const char *text);    /* in the transcript */
bool stage_traced(const struct stage *stage, const char *text); /* in the events */
