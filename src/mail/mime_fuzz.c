/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t line_ends(struct str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.at[i] == '\n';
	return count;
}

static void check_part(const struct mime *mime, size_t index)
{
	const struct mime_part *part = &mime->parts[index];
	const struct mime_part *before = &mime->parts[index - 1];
	const struct mime_part *parent;

	must(part->parent < index);
	parent = &mime->parts[part->parent];
	must(part->depth == parent->depth + 1 && parent->kind != MIME_LEAF);
	must(part->header_at >= parent->body_at && part->header_at <= part->body_at);
	must(part->body_at + part->body_len <= parent->body_at + parent->body_len);
	must(part->lines == line_ends(mime_part_body(mime, part)));
	must(part->parent == index - 1 || before->body_at + before->body_len <= part->header_at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct mime mime;
	struct summary summary;
	struct str structure;

	mime_parse(&arena, (struct str){ (const char *)data, size }, &mime);
	must(mime.count >= 1 && mime.count <= LIMIT_mime_parts);
	must(mime.parts[0].body_at + mime.parts[0].body_len == size);
	must(mime.depth <= LIMIT_mime_depth);
	for (size_t i = 1; i < mime.count; i++)
		check_part(&mime, i);
	summary_of(&arena, &mime, &summary);
	must(str_is_utf8(summary.subject) && str_is_utf8(summary.from) &&
	     str_is_utf8(summary.preview) && str_is_utf8(summary.message_id));
	must(summary.preview.len <= LIMIT_preview_octets && summary.subject.len <= SUMMARY_TEXT);
	structure = mime_structure_print(&arena, &mime);
	must(structure.len <= LIMIT_structure_octets && str_is_ascii(structure));
	must(line_ends(structure) <= 2 * mime.count + 2);
	return 0;
}
