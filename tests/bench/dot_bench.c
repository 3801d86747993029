/* SPDX-License-Identifier: Apache-2.0 */
/* How fast message text is unstuffed and stuffed, beside memcpy of the same octets. */
#include "mail/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIZE = 8 << 20, CHUNK = 65536, ROUNDS = 40 };

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static size_t copy_all(const char *text, char *out)
{
	for (size_t i = 0; i < SIZE; i += CHUNK)
		memcpy(out + i, text + i, CHUNK);
	return SIZE;
}

static size_t read_all(const char *text, char *out)
{
	struct dot_reader reader = { 0 };
	struct str piece;
	size_t len = 0;

	for (size_t i = 0; i < SIZE; i += CHUNK) {
		struct str in = { text + i, CHUNK };

		while (dot_read(&reader, &in, &piece)) {
			memcpy(out + len, piece.at, piece.len);
			len += piece.len;
		}
	}
	return len;
}

static size_t write_all(const char *text, char *out)
{
	struct dot_writer writer = { 0 };
	struct str piece;
	size_t len = 0;

	for (size_t i = 0; i < SIZE; i += CHUNK) {
		struct str in = { text + i, CHUNK };

		while (dot_write(&writer, &in, &piece)) {
			memcpy(out + len, piece.at, piece.len);
			len += piece.len;
		}
	}
	return len;
}

static void measure(const char *what, size_t (*run)(const char *, char *), const char *text,
		    char *out)
{
	size_t len = run(text, out);
	double start = seconds();

	for (int i = 0; i < ROUNDS; i++)
		len = run(text, out);
	printf("%-24s %6.2f GB/s (%zu octets out)\n", what,
	       (double)SIZE * ROUNDS / (seconds() - start) / 1e9, len);
}

static void fill(char *text, size_t line_len)
{
	for (size_t i = 0; i < SIZE; i++) {
		size_t column = i % line_len;

		text[i] = (char)(column == line_len - 2   ? '\r'
				 : column == line_len - 1 ? '\n'
							  : 'a' + (int)(i % 23));
	}
}

int main(void)
{
	static const size_t lines[] = { 20, 76, 998 };
	char *text = malloc(SIZE);
	char *out = malloc(2 * SIZE);

	must(text && out);
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		printf("lines of %zu octets\n", lines[i]);
		fill(text, lines[i]);
		measure("  memcpy", copy_all, text, out);
		measure("  unstuff and copy", read_all, text, out);
		measure("  stuff and copy", write_all, text, out);
	}
	free(out);
	free(text);
	return 0;
}
