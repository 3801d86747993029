/* SPDX-License-Identifier: Apache-2.0 */
/* The first octet says where the rest is cut; the joined pieces must not depend on it. */
#include "mail/mail.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct dot_reader *reader, struct str in, struct buf *out, size_t *taken)
{
	size_t before = in.len;
	struct str piece;

	while (dot_read(reader, &in, &piece))
		must(buf_add(out, piece) == OK);
	*taken += before - in.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(buf) struct buf once = BUF(1 << 22);
	OWNED(buf) struct buf parts = BUF(1 << 22);
	OWNED(buf) struct buf wire = BUF(1 << 22);
	struct dot_reader a = { 0 };
	struct dot_reader b = { 0 };
	struct dot_reader back = { 0 };
	struct dot_writer writer = { 0 };
	size_t taken_once = 0;
	size_t taken_parts = 0;
	struct str text;
	struct str piece;

	if (size < 1 || size > 1 << 20)
		return 0;
	a.normalise = b.normalise = data[0] & 1;
	text = (struct str){ (const char *)data + 1, size - 1 };
	feed(&a, text, &once, &taken_once);
	for (size_t i = 0, step = 1 + data[0] / 2; i < text.len; i += step)
		feed(&b, str_first(str_from(text, i), step), &parts, &taken_parts);
	/* What is held back in one cut is held back in the other. */
	must(a.state == b.state || a.normalise);
	must(dot_read_ended(&a) == dot_read_ended(&b));
	must(a.has_bare_cr == b.has_bare_cr && a.has_bare_lf == b.has_bare_lf);
	must(taken_once == taken_parts);
	must(str_is(buf_str(&once), buf_str(&parts)));

	buf_reset(&parts);
	for (struct str in = text; dot_write(&writer, &in, &piece);)
		must(buf_add(&wire, piece) == OK);
	buf_add(&wire, dot_write_end(&writer));
	taken_parts = 0;
	feed(&back, buf_str(&wire), &parts, &taken_parts);
	must(dot_read_ended(&back) && taken_parts == wire.len);
	return 0;
}
