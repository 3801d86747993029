/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * script: a wire script as read from its file. Format: docs/formats/wire.md.
 */
#include "base/base.h"

enum wire_mode { WIRE_CLEAR = 1, WIRE_TLS = 2, WIRE_SIM = 4 };
enum { WIRE_CONNECTIONS = 10, WIRE_LINE = 65536, WIRE_FILE = 16777216 };

enum step_kind {
	STEP_SEND,       /* C: text */
	STEP_SEND_RAW,   /* C! text with escapes, no line end */
	STEP_SEND_BULK,  /* C< repeat COUNT text, C< file NAME */
	STEP_EXPECT,     /* S: pattern */
	STEP_SKIP,       /* S: prefix... up to what the next S: of this connection expects */
	STEP_ABSENT,     /* S! pattern: no line since the last C matched it */
	STEP_TLS,        /* handshake */
	STEP_HALF_CLOSE, /* SHUT */
	STEP_CLOSE,      /* CLOSE */
	STEP_CUT,        /* CUT */
	STEP_END,        /* EOF */
	STEP_SLEEP,      /* SLEEP 5s */
	STEP_STORED      /* STORED address count */
};

struct step {
	enum step_kind kind;
	unsigned line;       /* of the file */
	unsigned connection; /* 1..9 */
	struct str text;     /* pattern, line, octets, address */
	uint64_t count;      /* STORED; SLEEP in milliseconds */
	struct str source;   /* as written */
};

struct setting {
	struct str listener; /* "": a general option */
	struct str name;
	struct str value;
};

struct account {
	struct str address;
	struct str password;
};

struct script {
	struct arena arena;
	struct str name; /* without folder and suffix */
	struct str folder;
	struct str text;
	struct str protocol;                   /* smtp, submission, lmtp, pop3 */
	struct str listener[WIRE_CONNECTIONS]; /* by connection */
	unsigned modes;
	struct setting settings[64];
	size_t setting_count;
	struct account accounts[32];
	size_t account_count;
	struct account aliases[32]; /* address, targets parted by blanks */
	size_t alias_count;
	struct step *steps;
	size_t step_count;
};

/* ERR_SYNTAX: fault_text() is "FILE:LINE: what is wrong". */
[[nodiscard]] enum err script_read(const char *path, struct script *out);
void script_done(struct script *script);

/* \r \n \t \\ \xNN; false when not well formed. */
bool wire_unescape(struct arena *arena, struct str text, struct str *out);
/* '*' stands for any octets, '\*' for a star; all else for itself. */
bool wire_matches(struct str pattern, struct str line);
