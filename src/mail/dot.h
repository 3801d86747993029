/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dot: the transparency of message text (rfc5321 4.5.2, rfc1939 3), in a stream. A line that is
 * one dot ends the text; a dot that begins any other line was doubled on its way.
 *
 * Both halves give views: pieces of what they were fed, or constants of their own. Nothing is
 * copied and nothing grows; what they remember between two feeds fits in the struct.
 *
 * Invariants
 *  (1) However the same octets are cut into feeds, the joined pieces and the marks are the same.
 *  (2) Only CRLF "." CRLF ends the text (and "." CRLF as its very first line). A bare CR or LF
 *      ends no line, whoever else may think so: it is data, and marked (SMTP smuggling).
 *  (3) What follows the end is never taken: it stays in the caller's input.
 *
 * `{ 0 }` is a ready reader, a ready writer.
 */
enum dot_state {
	DOT_LINE_START,
	DOT_TEXT,
	DOT_CR,      /* a CR was given, the LF is yet to come */
	DOT_DOT,     /* a dot began the line and was held back */
	DOT_DOT_CR,  /* and a CR after it */
	DOT_OWED_LF, /* normalising: the CR just given was bare and gets its LF now */
	DOT_ENDED
};

struct dot_reader {
	enum dot_state state;
	bool keeps_dots; /* set by the caller: a counted text (BDAT), where no dot means anything */
	bool normalise;  /* set by the caller: give CRLF for each bare CR and bare LF */
	bool has_bare_cr; /* marks of what came so far */
	bool has_bare_lf;
	uint64_t octets;      /* given out */
	uint64_t unstuffed;   /* dots taken away */
	uint64_t line_octets; /* of the line under way, CRLF included, doubled dot apart */
	uint64_t line_longest;
};

/*
 * Takes from the front of *in and gives the next piece of text in *out (it may be empty). False
 * when *in is used up or the end was reached; call again with the next octets.
 */
bool dot_read(struct dot_reader *reader, struct str *in, struct str *out);
/* The counted text is over: a CR at its end was bare. What is still owed, empty mostly. */
struct str dot_read_end(struct dot_reader *reader);
static inline bool dot_read_ended(const struct dot_reader *reader)
{
	return reader->state == DOT_ENDED;
}

/*
 * The other way. A dot is doubled behind a bare LF too: a receiver that wrongly takes it for a
 * line end must not see a line of one dot.
 */
struct dot_writer {
	enum { DOT_OUT_LINE_START, DOT_OUT_CR, DOT_OUT_LF, DOT_OUT_TEXT } state;
	bool owes_dot; /* the next piece is the second dot */
};
bool dot_write(struct dot_writer *writer, struct str *in, struct str *out);
/* What ends the text: ".\r\n", with a CRLF before it when the text has none at its end. */
struct str dot_write_end(const struct dot_writer *writer);
