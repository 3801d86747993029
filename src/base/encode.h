/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * encode: the spellings of octets that several floors share: base64, hexadecimal, text made
 * safe for logs, for JSON and for manual pages, and the 13 letters in which session and message ids are written.
 */

/* rfc4648 4, with padding. */
enum err base64_add(struct buf *out, struct str octets);
int base64_value(unsigned char c); /* 0..63; -1: not of the alphabet ("=" neither) */
/* Strict: padding needed, no white space, no stray bits. false leaves *out undefined. */
bool base64_take(struct arena *arena, struct str text, struct str *out);

/* Two small letters or digits an octet. ERR_LIMIT: not even a part was written. */
enum err hex_add(struct buf *out, struct str octets);
/* The octet of the two digits at the front, in either case; -1: there are none. */
int hex_octet(struct str text);
/* The same of digits and capitals alone. */
int hex_octet_capital(struct str text);

/* A JSON string with its quotes. Octets that are no UTF-8 become U+FFFD; what a terminal would obey and
   not show (C0, C1, marks that turn or end a line) is spelt \uNNNN. */
enum err json_add_string(struct buf *out, struct str s);
/* JSON text of others, no control but white space in it, with what a terminal would obey spelt \uNNNN:
   it means the same. */
enum err json_mend(struct buf *out, struct str json);
/* For a log line: what a terminal would obey, backslash and octets that are no UTF-8 as \xNN, \r, \n, \t. */
enum err escape_add(struct buf *out, struct str s);

/* A paragraph of a manual page, mdoc(7): a sentence begins a line, no line is long, nothing in it is
   taken for a request or an escape. */
enum err mdoc_add(struct buf *out, struct str paragraph);

/* An id in Crockford's base 32: 13 capital letters and digits, none of them I, L, O or U. */
enum { ID_TEXT = 13 };
void id_print(uint64_t id, char text[ID_TEXT + 1]);
bool id_parse(struct str text, uint64_t *out); /* case does not matter */
