/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"
#include "mail/part.h"

/*
 * The pass goes over the message line by line and knows two states: in a part's header or in its
 * body. A line that starts with "--" is looked up among the boundaries of the multiparts that are
 * open, by hash, so that its cost does not grow with their number; each part is opened and closed
 * once. So the whole is linear, whatever the boundaries are.
 */
enum { BUCKETS = 256, LINE_MAX_TEXT = 998 /* rfc5322 2.1.1 */ };

struct frame { /* an open multipart */
	uint32_t part;
	uint32_t next; /* frame of the same bucket below this one, plus one */
	struct str boundary;
	size_t bucket;
};

struct pass {
	struct arena *arena;
	struct mime *mime;
	size_t room; /* of mime->parts */
	struct frame frames[LIMIT_mime_depth];
	uint32_t buckets[BUCKETS]; /* newest frame, plus one */
	uint32_t frame_count;
	uint32_t current;
	bool in_header;
	size_t line_ends; /* up to the current line */
};

struct line {
	size_t at;
	size_t next;     /* where the following line starts */
	struct str text; /* without its end */
};

static struct line line_at(struct str message, size_t at)
{
	struct str rest = str_from(message, at);
	const char *lf = memchr(rest.at, '\n', rest.len);
	struct line line = { .at = at, .next = message.len, .text = rest };

	if (!lf)
		return line;
	line.text.len = (size_t)(lf - rest.at);
	line.next = at + line.text.len + 1;
	if (line.text.len && line.text.at[line.text.len - 1] == '\r')
		line.text.len--;
	return line;
}

static struct mime_part *current(struct pass *pass)
{
	return &pass->mime->parts[pass->current];
}

/* A part that begins at header_at, as what it is until its header says otherwise. */
static uint32_t part_open(struct pass *pass, uint32_t parent, size_t header_at)
{
	struct mime *mime = pass->mime;
	struct mime_part *part;

	if (mime->count == pass->room) {
		size_t room = pass->room ? 2 * pass->room : 8;
		struct mime_part *parts = NEW_ARRAY(pass->arena, struct mime_part, room);

		if (mime->count)
			memcpy(parts, mime->parts, mime->count * sizeof(*parts));
		mime->parts = parts;
		pass->room = room;
	}
	part = &mime->parts[mime->count];
	*part = (struct mime_part){ .parent = parent,
				    .type = S("text"), /* rfc2045 5.2 */
				    .subtype = S("plain"),
				    .encoding_text = S("7bit"),
				    .header_at = header_at,
				    .body_at = header_at };
	if (parent != MIME_NO_PARENT) {
		part->depth = mime->parts[parent].depth + 1;
		mime->parts[parent].children++;
	}
	if (part->depth > mime->depth)
		mime->depth = part->depth;
	return (uint32_t)mime->count++;
}

/*
 * The parts from the current one up to (not with) `above` end at `end`. The line end before a
 * boundary belongs to the boundary (rfc2046 5.1.1), so `end` stands before it; a part so broken
 * that it starts later is empty, and its parents end no earlier than it does.
 */
static void parts_close(struct pass *pass, uint32_t above, size_t end, size_t line_ends)
{
	while (pass->current != above) {
		struct mime_part *part = current(pass);

		if (pass->in_header) { /* no empty line: all of it is header */
			part->body_at = part->header_at > end ? part->header_at : end;
			part->lines = part->header_at > end ? pass->line_ends : line_ends;
			pass->in_header = false;
			pass->mime->oddities |= mime_part_read(pass->arena, pass->mime, part);
		}
		if (part->kind == MIME_MULTIPART && part->children == 0)
			pass->mime->oddities |= MIME_NO_BOUNDARY;
		if (part->children == 0)
			part->kind = MIME_LEAF;
		if (end < part->body_at) {
			end = part->body_at;
			line_ends = part->lines;
		}
		part->body_len = end - part->body_at;
		part->lines = line_ends - part->lines; /* until now: those before the body */
		pass->current = part->parent;
	}
}

static void frame_push(struct pass *pass, uint32_t part, struct str boundary)
{
	struct frame *frame = &pass->frames[pass->frame_count++];

	frame->part = part;
	frame->boundary = boundary;
	frame->bucket = str_hash(boundary) % BUCKETS;
	frame->next = pass->buckets[frame->bucket];
	pass->buckets[frame->bucket] = pass->frame_count;
}

static void frames_pop(struct pass *pass, uint32_t left)
{
	while (pass->frame_count > left) {
		struct frame *frame = &pass->frames[--pass->frame_count];

		/* The newest frame is always the first of its bucket. */
		pass->buckets[frame->bucket] = frame->next;
	}
}

/* The innermost open multipart with this boundary, plus one; 0 when there is none. */
static uint32_t frame_find(const struct pass *pass, struct str boundary)
{
	uint32_t found;

	if (boundary.len == 0 || boundary.len > LIMIT_boundary)
		return 0;
	found = pass->buckets[str_hash(boundary) % BUCKETS];
	while (found && !str_is(pass->frames[found - 1].boundary, boundary))
		found = pass->frames[found - 1].next;
	return found;
}

/* rfc2046 5.1.1: "--", the boundary, "--" when it is the last one, blanks. */
static uint32_t boundary_find(const struct pass *pass, struct str text, bool *is_last)
{
	struct str boundary;
	uint32_t found;

	*is_last = false;
	if (pass->frame_count == 0 || !str_starts(text, S("--")))
		return 0;
	boundary = str_trim(str_from(text, 2));
	/* A blank in front would be part of the boundary, and none may start with one. */
	if (boundary.len == 0 || boundary.at != text.at + 2)
		return 0;
	found = frame_find(pass, boundary);
	if (found || boundary.len < 3 || !str_is(str_from(boundary, boundary.len - 2), S("--")))
		return found;
	*is_last = true;
	return frame_find(pass, str_first(boundary, boundary.len - 2));
}

/* Past the last part that we look at all is one leaf, and no boundary counts any more. */
static void rest_is_leaf(struct pass *pass)
{
	struct mime_part *part = current(pass);

	frames_pop(pass, 0);
	pass->mime->oddities |= MIME_CUT_PARTS;
	part->type = S("application");
	part->subtype = S("octet-stream");
	part->encoding_text = S("binary");
	part->encoding = TRANSFER_BINARY;
	part->is_cut = true;
	part->lines = pass->line_ends;
	pass->in_header = false;
}

static void child_open(struct pass *pass, uint32_t parent, size_t header_at)
{
	pass->current = part_open(pass, parent, header_at);
	pass->in_header = true;
	if (pass->mime->count == LIMIT_mime_parts)
		rest_is_leaf(pass);
}

static void boundary_passed(struct pass *pass, uint32_t frame, bool is_last,
			    const struct line *line)
{
	uint32_t part = pass->frames[frame - 1].part;
	struct str message = pass->mime->message;
	size_t end = line->at;
	size_t line_ends = pass->line_ends;

	if (end > 0 && message.at[end - 1] == '\n') {
		end -= end > 1 && message.at[end - 2] == '\r' ? 2 : 1;
		line_ends--;
	}
	parts_close(pass, part, end, line_ends);
	if (pass->frame_count > frame)
		pass->mime->oddities |= MIME_UNCLOSED;
	frames_pop(pass, is_last ? frame - 1 : frame);
	pass->line_ends += line->next > line->at + line->text.len;
	if (!is_last)
		child_open(pass, part, line->next);
}

/* The header is complete: what is this part, and what is inside it? */
static void body_begins(struct pass *pass, size_t body_at)
{
	uint32_t index = pass->current;
	struct mime_part *part = current(pass);
	struct str boundary;

	pass->in_header = false;
	part->body_at = body_at;
	part->lines = pass->line_ends;
	pass->mime->oddities |= mime_part_read(pass->arena, pass->mime, part);
	if (part->kind == MIME_LEAF)
		return;
	/* rfc2046 5.1.1: a boundary does not end with a blank. */
	boundary = str_trim(parameters_find(&part->parameters, S("boundary"), NULL));
	if (part->depth >= LIMIT_mime_depth) {
		pass->mime->oddities |= MIME_CUT_DEPTH;
		part->is_cut = true;
		part->kind = MIME_LEAF;
	} else if (part->kind == MIME_MESSAGE) {
		child_open(pass, index, body_at);
	} else if (boundary.len == 0 || boundary.len > LIMIT_boundary) {
		pass->mime->oddities |= MIME_NO_BOUNDARY;
		part->kind = MIME_LEAF;
	} else {
		frame_push(pass, index, boundary);
	}
}

static void line_passed(struct pass *pass, const struct line *line)
{
	bool is_last = false;
	uint32_t frame = boundary_find(pass, line->text, &is_last);
	bool has_end = line->next > line->at + line->text.len;

	if (line->text.len > LINE_MAX_TEXT)
		pass->mime->oddities |= MIME_LONG_LINE;
	if (frame) {
		boundary_passed(pass, frame, is_last, line);
		return;
	}
	/* A header without end must not be parsed as one: what is past the limit is body. */
	if (pass->in_header && line->next - current(pass)->header_at > LIMIT_header_octets) {
		pass->mime->oddities |= MIME_CUT_HEADER;
		body_begins(pass, line->at);
	}
	pass->line_ends += has_end;
	if (pass->in_header && line->text.len == 0 && has_end)
		body_begins(pass, line->next);
}

/* Octets that no line shows: each kind is looked for until it is found. */
static unsigned octet_oddities(struct str message)
{
	unsigned oddities = 0;
	const char *end = message.at + message.len;
	const char *at = message.at;

	if (message.len == 0)
		return 0;
	if (memchr(at, 0, message.len))
		oddities |= MIME_NUL;
	while ((at = memchr(at, '\r', (size_t)(end - at))) && ++at < end && *at == '\n')
		at++;
	if (at)
		oddities |= MIME_BARE_CR;
	at = message.at;
	while ((at = memchr(at, '\n', (size_t)(end - at))) && at > message.at && at[-1] == '\r')
		at++;
	if (at)
		oddities |= MIME_BARE_LF;
	return oddities;
}

void mime_parse(struct arena *arena, struct str message, struct mime *out)
{
	struct pass *pass = NEW(arena, struct pass);

	*out = (struct mime){ .message = message.at ? message : S("") };
	pass->arena = arena;
	pass->mime = out;
	child_open(pass, MIME_NO_PARENT, 0);
	for (size_t at = 0; at < message.len;) {
		struct line line = line_at(message, at);

		line_passed(pass, &line);
		at = line.next;
	}
	if (pass->frame_count)
		out->oddities |= MIME_UNCLOSED;
	parts_close(pass, MIME_NO_PARENT, message.len, pass->line_ends);
	out->oddities |= octet_oddities(out->message);
}

struct str mime_oddities_print(struct arena *arena, unsigned oddities)
{
	static const char *const words[] = {
#define X(name, word, text) [MIME_BIT_##name] = word,
		MIME_ODDITIES(X)
#undef X
	};
	OWNED(buf) struct buf out = BUF(1024);

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!(oddities & 1U << i))
			continue;
		if (out.len)
			buf_add_char(&out, ' ');
		buf_add_c(&out, words[i]);
	}
	return str_dup(arena, buf_str(&out));
}

struct str mime_part_header(const struct mime *mime, const struct mime_part *part)
{
	return str_first(str_from(mime->message, part->header_at), part->body_at - part->header_at);
}

struct str mime_part_body(const struct mime *mime, const struct mime_part *part)
{
	return str_first(str_from(mime->message, part->body_at), part->body_len);
}
